// The selection of boxray.selection, again, to the last bit: which candidates survive, and who beat
// whom. Scores and boxes are single precision there, so every step is rounded to it here.
const FATE = { KEPT: 0, BELOW_SCORE: 1, OVER_LIMIT: 2, SUPPRESSED: 3, OVER_MAX: 4 };
// of soft-gaussian and matrix the exponentials may differ in the last bit: they stay as recorded
const LIVE_METHODS = ["greedy", "diou", "soft-linear", "fusion"];
const single = Math.fround;
const double = (value) => value;

// The box at a place of a table's flat array of edges.
const boxAt = (boxes, place) => boxes.subarray(4 * place, 4 * place + 4);

function sharedArea(a, b, round) {
  const width = round(Math.min(a[2], b[2]) - Math.max(a[0], b[0]));
  const height = round(Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
  return round(Math.max(width, 0) * Math.max(height, 0));
}

const ratio = (part, whole, round) => round(part / (whole === 0 ? 1 : whole));

function iou(a, b, round) {
  const shared = sharedArea(a, b, round);
  const both = round(sharedArea(a, a, round) + sharedArea(b, b, round));
  return ratio(shared, round(both - shared), round);
}

function distanceIou(a, b, round) {
  const middle = (i) => round(round(round(round(a[i] + a[i + 2]) - b[i]) - b[i + 2]) / 2);
  const hull = (i) => round(Math.max(a[i + 2], b[i + 2]) - Math.min(a[i], b[i]));
  const squares = (x, y) => round(round(x * x) + round(y * y));
  const apart = ratio(squares(middle(0), middle(1)), squares(hull(0), hull(1)), round);
  return round(iou(a, b, round) - apart);
}

const places = (count) => Array.from({ length: count }, (_, i) => i);
const notANumberIsNone = (overlap) => (Number.isNaN(overlap) ? 0 : overlap);

function greedy(boxes, scores, rivals, thresholds, overlap = iou) {
  const beatenBy = boxes.map(() => -1);
  const most = single(thresholds.iou_threshold);
  for (let judge = 0; thresholds.iou_threshold < 1 && judge < boxes.length; judge++) {
    if (beatenBy[judge] >= 0) continue;
    for (let other = judge + 1; other < boxes.length; other++)
      if (beatenBy[other] < 0 && rivals[other] === rivals[judge])
        if (overlap(boxes[judge], boxes[other], single) > most) beatenBy[other] = judge;
  }
  const survivors = places(boxes.length).filter((place) => beatenBy[place] < 0);
  return { survivors, beatenBy, scores, boxes, members: null };
}

function softLinear(boxes, scores, rivals, thresholds) {
  const left = Float32Array.from(scores);
  const most = new Float32Array(boxes.length);
  const beatenBy = boxes.map(() => -1);
  const survivors = [];
  let waiting = places(boxes.length);
  while (waiting.length) {
    const best = waiting.reduce((first, one) => (left[one] > left[first] ? one : first));
    survivors.push(best);
    waiting = waiting.filter((one) => one !== best);
    for (const other of waiting) {
      if (rivals[other] !== rivals[best]) continue;
      const overlap = notANumberIsNone(iou(boxes[best], boxes[other], single));
      const share = overlap > single(thresholds.iou_threshold) ? single(1 - overlap) : 1;
      const remaining = single(left[other] * share);
      const taken = single(left[other] - remaining);
      left[other] = remaining;
      if (taken > most[other]) beatenBy[other] = best;
      most[other] = Math.max(most[other], taken);
    }
    waiting = waiting.filter((one) => left[one] >= single(thresholds.score_threshold));
  }
  return { survivors, beatenBy, scores: left, boxes, members: null };
}

function fusion(boxes, scores, rivals, thresholds) {
  const fused = boxes.map((box) => Array.from(box));
  const weight = Array.from(scores);
  const count = boxes.map(() => 1);
  const beatenBy = boxes.map(() => -1);
  for (let place = 1; place < boxes.length; place++) {
    let founder = -1, closest = 0;
    for (let one = 0; one < place; one++) {
      if (beatenBy[one] >= 0 || rivals[one] !== rivals[place]) continue;
      const overlap = notANumberIsNone(iou(boxes[place], fused[one], double));
      if (founder < 0 || overlap > closest) [founder, closest] = [one, overlap];
    }
    if (founder < 0 || !(closest > thresholds.iou_threshold)) continue;
    beatenBy[place] = founder;
    count[founder] += 1;
    weight[founder] += scores[place];
    const share = weight[founder] > 0 ? scores[place] / weight[founder] : 0;
    fused[founder] = fused[founder].map((edge, i) => edge + share * (boxes[place][i] - edge));
  }
  const founderOf = beatenBy.map((by, place) => (by < 0 ? place : by));
  const mean = founderOf.map((founder) => single(weight[founder] / count[founder]));
  const survivors = places(boxes.length).filter((place) => beatenBy[place] < 0);
  survivors.sort((a, b) => mean[b] - mean[a] || a - b);
  const members = survivors.map((one) => places(boxes.length).filter((m) => founderOf[m] === one));
  return { survivors, beatenBy, scores: mean, boxes: founderOf.map((f) => fused[f].map(single)), members };
}

const METHODS = {
  greedy,
  diou: (...given) => greedy(...given, distanceIou),
  "soft-linear": softLinear,
  fusion,
};

// Places of the candidates that the limits let in, best first.
function enter(table, above, thresholds) {
  const { scores, labels, rows, groups } = table;
  const order = [...above].sort((a, b) => scores[b] - scores[a] || labels[a] - labels[b] || rows[a] - rows[b]);
  const counts = new Map();
  const entered = order.filter((one) => {
    const before = counts.get(groups[one]) ?? 0;
    counts.set(groups[one], before + 1);
    return thresholds.limit_before_per_group === null || before < thresholds.limit_before_per_group;
  });
  return thresholds.limit_before === null ? entered : entered.slice(0, thresholds.limit_before);
}

// recorded: what suppression made of those that entered, where that is not to be done again.
function select(table, thresholds, recorded = null) {
  const { boxes, scores, labels, groups } = table;
  const least = single(thresholds.score_threshold);
  const above = places(scores.length).filter(
    (one) => scores[one] >= least && scores[one] < Infinity && boxAt(boxes, one).every(Number.isFinite),
  );
  const entered = enter(table, above, thresholds);
  const within = { class: labels, group: groups, all: null }[thresholds.suppress_within];
  const outcome = recorded ?? METHODS[thresholds.method](
    entered.map((one) => boxAt(boxes, one)),
    entered.map((one) => scores[one]),
    entered.map((one) => (within ? within[one] : 0)),
    thresholds,
  );
  return record(scores, above, entered, outcome, thresholds.max_detections);
}

// What became of every candidate: the properties of boxray.records.Selection.
function record(scores, above, entered, outcome, mostDetections) {
  const shown = outcome.survivors.slice(0, mostDetections);
  const fate = new Uint8Array(scores.length).fill(FATE.BELOW_SCORE);
  const beatenBy = new Int32Array(scores.length).fill(-1);
  const scoreLost = new Float32Array(scores.length);
  for (const one of above) fate[one] = FATE.OVER_LIMIT;
  entered.forEach((one, place) => {
    fate[one] = FATE.SUPPRESSED;
    const by = outcome.beatenBy[place];
    beatenBy[one] = by < 0 ? -1 : entered[by];
    scoreLost[one] = scores[one] - outcome.scores[place];
  });
  for (const place of outcome.survivors) fate[entered[place]] = FATE.OVER_MAX;
  for (const place of shown) fate[entered[place]] = FATE.KEPT;
  return {
    kept: shown.map((place) => entered[place]),
    boxes: shown.map((place) => outcome.boxes[place]),
    scores: shown.map((place) => outcome.scores[place]),
    origins: shown.map((place, i) => (outcome.members ? outcome.members[i] : [place]).map((m) => entered[m])),
    entered, outcome, fate, beatenBy, scoreLost,
  };
}
