// What became of an object, and the life of a box, read from the record of a selection: the sets of
// boxray.explain, over the same candidates. `page` is the data of an explanation's page, unpacked.
const ENOUGH = 0.5; // of overlap
const NEARLY = 0.7; // IoU from which two say nearly the same
const FAINTEST = 0.01; // a score below this says nothing
const MOST_CLOSEST = 3;
const STAGES = ["reachable", "localised", "named", "score", "limit", "suppression", "max_detections", "matched"];

// A box of the canvas as it is shown: in image pixels, clipped to the image.
function inImage({ image_hw, resized_hw, offset }, box) {
  return [0, 1, 2, 3].map((i) => {
    const axis = i % 2 ? 0 : 1; // height first
    const edge = (box[i] - offset[axis]) / (resized_hw[axis] / image_hw[axis]);
    return Math.min(Math.max(edge, 0), image_hw[axis]);
  });
}

// How well a box of the image answers for a target: IoU, or 1 around a point.
function overlapWith(target, box) {
  if (target.box) return iou(target.box, box, double);
  const [x, y] = target.point;
  return box[0] <= x && x < box[2] && box[1] <= y && y < box[3] ? 1 : 0;
}

// A decision: the selection by these thresholds, with its boxes as they are shown.
function decide(page, thresholds) {
  const selection = select(page.table, thresholds, page.live ? null : page.recorded);
  const shown = selection.boxes.map((box) => inImage(page.placement, box));
  const detections = [];
  shown.forEach((box, place) => {
    if (box[2] > box[0] && box[3] > box[1]) detections.push(place);
  });
  return { page, thresholds, selection, shown, detections };
}

// Which kept box answers for each target, -1 for none: of truths, one for each, best first.
function claims(decision, targets) {
  const { page, selection, shown } = decision;
  const placed = targets.map(() => -1);
  shown.forEach((box, place) => {
    const label = page.table.labels[selection.kept[place]];
    let best = -1, most = 0;
    targets.forEach((target, i) => {
      if (!target.box || target.label !== label || placed[i] >= 0) return;
      const overlap = overlapWith(target, box);
      if (overlap >= ENOUGH && overlap > most) [best, most] = [i, overlap];
    });
    if (best >= 0) placed[best] = place;
  });
  targets.forEach((target, i) => {
    if (!target.box) placed[i] = smallestAround(target, shown);
  });
  return placed;
}

function smallestAround(target, shown) {
  let best = -1, least = Infinity;
  shown.forEach((box, place) => {
    const area = (box[2] - box[0]) * (box[3] - box[1]);
    if (overlapWith(target, box) >= ENOUGH && area < least) [best, least] = [place, area];
  });
  return best;
}

// The survivor that each candidate lives on in, -1 for none: itself, or the one that took it in.
function carriers({ fate, outcome, beatenBy }) {
  return Array.from(fate, (one, candidate) => {
    if (outcome.members && beatenBy[candidate] >= 0) return beatenBy[candidate];
    return one === FATE.KEPT || one === FATE.OVER_MAX ? candidate : -1;
  });
}

// The sets of candidates for targets[which], one per stage, each within the one before.
function setsOf(decision, targets, which) {
  const { page, selection } = decision;
  const { table } = page;
  const target = targets[which];
  const known = target.label !== null && target.label >= 0;
  const least = single(decision.thresholds.score_threshold);
  const tall = (one) => table.scores[one] >= least;
  const asked = places(table.scores.length).filter((one) =>
    known ? table.labels[one] === target.label : table.best[one] || tall(one),
  );
  const carrier = carriers(selection);
  const answers = new Set(); // of those that entered, as suppression left them
  selection.entered.forEach((one, place) => {
    const right = target.label === null || table.labels[one] === target.label;
    const box = inImage(page.placement, selection.outcome.boxes[place]);
    if (right && overlapWith(target, box) >= ENOUGH) answers.add(one);
  });
  const carried = (one) => carrier[one] >= 0 && answers.has(carrier[one]);
  const localised = asked.filter(
    (one) => overlapWith(target, page.shown[one]) >= ENOUGH || carried(one),
  );
  const right = (one) => target.label === null || table.labels[one] === target.label;
  const named = localised.filter((one) => right(one) && (table.best[one] || tall(one)));
  const above = named.filter((one) => selection.fate[one] !== FATE.BELOW_SCORE);
  const within = above.filter((one) => selection.fate[one] !== FATE.OVER_LIMIT);
  const survived = within.filter(carried);
  const shown = survived.filter((one) => selection.fate[carrier[one]] === FATE.KEPT);
  const place = claims(decision, targets)[which];
  const matched = shown.filter((one) => place >= 0 && carrier[one] === selection.kept[place]);
  const there = new Set(localised);
  const reachable = asked.filter((one) => there.has(one) || isReachable(target, table.rows[one]));
  return [reachable, localised, named, above, within, survived, shown, matched];
}

const isReachable = (target, row) => !target.box || ((target.reachable[row >> 3] >> (row & 7)) & 1) === 1;

// How many candidates could reach a target. A known class has one in every row, whether or not the
// table holds it; their rows are counted beforehand.
function countReachable(page, target, reachable) {
  if (!target.box || target.label < 0) return reachable.length;
  return target.reachable_count + reachable.filter((one) => !isReachable(target, page.table.rows[one])).length;
}

// What became of targets[which], as boxray.explain.Verdict but for what change would help.
function verdict(decision, targets, which) {
  const target = targets[which];
  const sets = setsOf(decision, targets, which);
  const stages = decision.page.two_stages
    ? stagesAfterProposals(decision.page, target, sets)
    : STAGES.map((name, i) => ({ name, left: i ? sets[i].length : countReachable(decision.page, target, sets[0]) }));
  const empty = stages.findIndex(({ left }) => left === 0);
  const killer = empty < 0 ? null : stages[empty].name;
  const number = decision.detections.indexOf(claims(decision, targets)[which]);
  return {
    target, killer, stages,
    detection: killer === null && number >= 0 ? number : null,
    closest: killer === null ? [] : closest(decision, target, sets, killer),
  };
}

// Of two stages the second counts proposals; what the first did with an object does not depend on
// the second's thresholds and is told by Python, of points it is not told.
function stagesAfterProposals({ table }, target, sets) {
  const own = STAGES.map((name, i) => ({ name, left: new Set(sets[i].map((one) => table.rows[one])).size }));
  return [...(target.box ? target.earlier : []), ...own.slice(1)];
}

const bestFirst = (table, some) => [...some].sort((a, b) => table.scores[b] - table.scores[a] || a - b);

// The best candidates of the last set that was not empty, and who beat them.
function closest(decision, target, sets, killer) {
  const { page, selection } = decision;
  const at = STAGES.indexOf(killer);
  if (page.two_stages && at < 2) return target.box ? target.told : [];
  const last = sets[Math.max(at - 1, 0)];
  return bestFirst(page.table, last).slice(0, MOST_CLOSEST).map((candidate) => {
    const winner = selection.beatenBy[candidate];
    return {
      candidate,
      iou: target.box ? overlapWith(target, page.shown[candidate]) : null,
      beatenBy: winner < 0 ? null : rival(decision, candidate, winner),
    };
  });
}

// What happened between two candidates of which one beat the other.
function rival({ page, selection }, loser, winner) {
  const { boxes, scores } = page.table;
  const lowered = selection.fate[loser] !== FATE.SUPPRESSED;
  return {
    loser, winner,
    what: selection.outcome.members ? "fused" : lowered ? "lowered" : "suppressed",
    iou: iou(boxAt(boxes, winner), boxAt(boxes, loser), single),
    wonBy: scores[winner] - scores[loser],
    scoreLost: selection.scoreLost[loser],
  };
}

// Every other that said nearly this box with this class, the best of them first.
function agreeing({ page, selection }, place) {
  const { boxes, scores, labels } = page.table;
  const own = selection.origins[place];
  const near = places(scores.length).filter(
    (one) =>
      labels[one] === labels[own[0]] && scores[one] >= single(FAINTEST) && !own.includes(one) &&
      iou(selection.boxes[place], boxAt(boxes, one), single) >= single(NEARLY),
  );
  return bestFirst(page.table, near);
}

// Everything about the box that selection kept at `place`, as boxray.explain.Life; candidates are
// places in the table.
function life(decision, place) {
  const { page, selection, thresholds } = decision;
  const first = selection.kept[place];
  const losers = places(page.table.scores.length).filter((one) => selection.beatenBy[one] === first);
  const number = decision.detections.indexOf(place);
  return {
    number: number < 0 ? null : number,
    label: page.table.labels[first],
    score: selection.scores[place],
    box: decision.shown[place],
    canvasBox: Array.from(selection.boxes[place]),
    origins: selection.origins[place],
    passedBy: selection.scores[place] - thresholds.score_threshold,
    scoreLost: selection.scoreLost[first],
    beaten: bestFirst(page.table, losers).map((loser) => rival(decision, loser, first)),
    agreeing: agreeing(decision, place),
  };
}

// The place of the smallest kept box around a point of the image, -1 for none.
const placeAt = ({ shown }, point) => smallestAround({ box: null, point }, shown);

const MOST_TRIED = 60; // scores, nearest first

// The highest score_threshold below the present one at which a box lies around the point, found by
// trying; null if none does. Where scores are lowered or averaged, it is not looked for.
function scoreThatFinds(decision, point) {
  const { page, thresholds } = decision;
  if (!page.live || !["greedy", "diou"].includes(thresholds.method)) return null;
  const target = { box: null, point };
  const least = single(thresholds.score_threshold);
  const around = places(page.table.scores.length)
    .filter((one) => page.table.scores[one] < least && page.table.scores[one] >= page.floor && overlapWith(target, page.shown[one]) >= ENOUGH)
    .map((one) => page.table.scores[one]);
  const values = [...new Set(around)].sort((a, b) => b - a).slice(0, MOST_TRIED);
  return values.find((score_threshold) => placeAt(decide(page, { ...thresholds, score_threshold }), point) >= 0) ?? null;
}
