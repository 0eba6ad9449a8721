// The answers in words: the life of a box, the death of a miss; needs elements.js and verdict.js.
// `view` gives the page, the decision, and what happens when a candidate is pointed at or chosen.
const number = (value, digits = 4) => value.toFixed(digits);
const edgesText = (box) => box.map((edge) => edge.toFixed(1)).join(", ");

// Pairs of numbers, which of them is which.
const SAID = {
  cell: (column, row) => `cell in column ${column}, row ${row}`,
  step: (across, down) => `step ${across} across, ${down} down`,
  prior: (width, height) => `prior ${width} x ${height}`,
  window: (width, height) => `window ${width} x ${height}`,
};

function whereText(where) {
  const numbers = (value) => [value].flat().map((one) => (typeof one === "number" ? +one.toPrecision(4) : one));
  const said = ([name, value]) => (SAID[name] ? SAID[name](...numbers(value)) : `${name} ${numbers(value).join(", ")}`);
  return Object.entries(where).map(said).join("; ");
}

// A candidate as a button: pointing at it shows it, choosing it tells of it.
function candidateButton(view, candidate) {
  const { table, classes } = view.page;
  const button = make("button", "candidate", `${classes[table.labels[candidate]].name} ${number(table.scores[candidate])}`);
  button.type = "button";
  const origin = view.page.origins[candidate];
  if (origin) button.title = whereText(origin.where);
  for (const event of ["pointerenter", "focus"]) button.addEventListener(event, () => view.pointAt(candidate));
  for (const event of ["pointerleave", "blur"]) button.addEventListener(event, () => view.pointAt(null));
  button.addEventListener("click", () => view.ask({ candidate }));
  return button;
}

const part = (heading, ...children) => make("section", "part", make("h3", "", heading), ...children);

function stepsList(steps) {
  const list = make("ol", "steps");
  for (const { name, formula, value } of steps) list.append(make("li", "", make("code", "", `${name} = ${formula} = ${number(value, 2)}`)));
  return list;
}

function bars(rows) {
  const list = make("ul", "bars");
  for (const { name, value, share, mark } of rows) {
    const bar = make("span", "bar");
    bar.style.setProperty("--share", `${(100 * share).toFixed(1)}%`);
    list.append(make("li", mark ?? "", make("span", "name", name), bar, make("span", "number", value)));
  }
  return list;
}

// What one candidate said, and how it became a box; nothing more is kept of faint ones.
function originParts(view, candidate) {
  const origin = view.page.origins[candidate];
  if (!origin) return [part("Where it came from", make("p", "quiet", `Row ${view.page.table.rows[candidate]} of the raw output. The page holds the numbers of the best ${Object.keys(view.page.origins).length} candidates only.`))];
  return [
    part("Where it came from", make("p", "", whereText(origin.where)), make("p", "quiet", `measured from ${edgesText(origin.start)} on the canvas`)),
    ...saidPart(origin),
    part("Decoded", stepsList(origin.steps), make("p", "quiet", `canvas box ${edgesText(origin.canvas_box)}`)),
    part("Score", make("p", "", make("code", "", `${origin.score_formula} = ${number(origin.score)}`)),
      bars(origin.classes.map(([name, score]) => ({ name, value: number(score), share: score })))),
    ...(origin.proposal ? [proposalPart(origin.proposal)] : []),
  ];
}

// The raw numbers, and of the class logits those of the best classes.
function saidPart({ raw, classes, logits }) {
  const numbers = [...Object.entries(raw), ...logits.map((logit, i) => [classes[i][0], logit])];
  if (!numbers.length) return [];
  const list = make("dl", "said", ...numbers.map(([name, value]) => make("div", "", make("dt", "", name), make("dd", "", number(value)))));
  return [part("What the network said", list, ...(logits.length ? [make("p", "quiet", "Classes: logits of the best ones.")] : []))];
}

function proposalPart(proposal) {
  const [origin] = proposal.origins;
  const lines = [`score ${number(proposal.score)} at ${edgesText(proposal.box)}`, whereText(origin.where)];
  return part("Its proposal", ...lines.map((line) => make("p", "", line)), stepsList(origin.steps));
}

// The way from the canvas to the image, each edge written out; with the cut where it is outside the image.
function toImage({ image_hw, resized_hw, offset }, canvasBox, box) {
  return ["x0", "y0", "x1", "y1"].map((name, i) => {
    const axis = i % 2 ? 0 : 1; // height first
    const scale = +(resized_hw[axis] / image_hw[axis]).toPrecision(5);
    const formula = `(${number(canvasBox[i], 2)} - ${offset[axis]}) / ${scale}`;
    const value = ((canvasBox[i] - offset[axis]) * image_hw[axis]) / resized_hw[axis];
    return { name, formula: inside(formula, value, image_hw[axis]), value: box[i] };
  });
}

function inside(formula, value, end) {
  if (value < 0) return `max(${formula}, 0)`;
  return value > end ? `min(${formula}, ${end})` : formula;
}

function lifeOf(view, told) {
  const { page, decision } = view;
  const { thresholds } = decision;
  const name = page.classes[told.label].name;
  const lost = told.scoreLost ? `, after losing ${number(told.scoreLost)} to better ones` : "";
  const several = told.origins.length > 1 ? [make("p", "", `Made of ${told.origins.length} candidates; the best of them:`)] : [];
  return [
    make("h2", "", `${name} ${number(told.score)}`),
    make("p", "quiet", `${told.number === null ? "in the padding" : `detection ${told.number}`}, at ${edgesText(told.box)} in the image`),
    ...several,
    ...originParts(view, told.origins[0]),
    part("To the image", stepsList(toImage(page.placement, told.canvasBox, told.box))),
    part("Passed", make("p", "", `score_threshold ${+thresholds.score_threshold.toPrecision(4)} by ${number(told.passedBy)}${lost}`)),
    part(`Beat ${told.beaten.length}`,
      make("p", "quiet", `${thresholds.method}, iou_threshold ${+thresholds.iou_threshold.toPrecision(4)}, within ${thresholds.suppress_within}`),
      ...(told.beaten.length ? [rivalTable(view, told.beaten)] : [])),
    part(`${told.agreeing.length} said nearly the same`, candidateList(view, told.agreeing)),
  ];
}

const MOST_RIVALS = 8;
const MOST_ALIKE = 10;

function rivalTable(view, rivals) {
  const lowering = rivals.some(({ scoreLost }) => scoreLost !== 0);
  const rows = rivals.slice(0, MOST_RIVALS).map(({ loser, what, iou, wonBy, scoreLost }) => [
    candidateButton(view, loser), what, number(iou, 3), number(wonBy), ...(lowering ? [number(scoreLost)] : []),
  ]);
  const head = ["who", "was", "IoU", "won by", ...(lowering ? ["score lost"] : [])];
  const table = tabled(head, rows, (column) => column > 1);
  return make("div", "", table, ...andMore(rivals.length - rows.length));
}

const andMore = (more) => (more > 0 ? [make("p", "quiet", `and ${more} more`)] : []);

function candidateList(view, candidates) {
  const list = make("ul", "chips");
  for (const one of candidates.slice(0, MOST_ALIKE)) list.append(make("li", "", candidateButton(view, one)));
  return make("div", "", list, ...andMore(candidates.length - MOST_ALIKE));
}

function deathOf(view, told, advice) {
  const { target, killer } = told;
  const what = target.box ? `${target.name} at ${edgesText(target.box)}` : `the point ${target.point.map((at) => at.toFixed(1)).join(", ")}`;
  const most = Math.log1p(Math.max(...told.stages.map(({ left }) => left)));
  const funnel = told.stages.map(({ name, left }) => ({
    name, value: `${left}`, share: most ? Math.log1p(left) / most : 0, mark: name === killer ? "killer" : left ? "" : "after",
  }));
  return [
    make("h2", killer ? "lost" : "found", killer ? `Lost at ${killer}` : "Found"),
    make("p", "", what),
    ...(killer ? [make("p", "", sentence(view.page.killers[killer]))] : [foundBy(view, told)]),
    part("Candidates left after each stage", bars(funnel), make("p", "quiet", "Bars of logarithmic length.")),
    ...(told.closest.length ? [part("Came closest", closestTable(view, told.closest))] : []),
    ...(killer ? advice : []),
  ];
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;

function foundBy(view, { detection }) {
  if (detection === null) return make("p", "", "by a box that lies in the padding");
  const button = make("button", "", `by detection ${detection}`);
  button.type = "button";
  button.addEventListener("click", () => view.ask({ candidate: view.decision.selection.kept[view.decision.detections[detection]] }));
  return button;
}

function closestTable(view, closest) {
  const rows = closest.map((one) => {
    const [who, by] = one.said ? [saidText(one.said), one.beaten_by && saidText(one.beaten_by.candidate)]
      : [candidateButton(view, one.candidate), one.beatenBy && candidateButton(view, one.beatenBy.winner)];
    const met = one.beatenBy ?? one.beaten_by;
    return [who, one.iou === null ? "–" : number(one.iou, 3), met ? make("span", "", by, ` IoU ${number(met.iou, 3)}`) : "nobody"];
  });
  return tabled(["who", "IoU with it", "beaten by"], rows, (column) => column === 1);
}

// A candidate of the first of two stages, which the page does not hold.
const saidText = ({ label, score, where }) => `${label} ${number(score)} of ${whereText(where)}`;

const FATES = ["kept", "below score_threshold", "beyond the limit before suppression", "suppressed", "beyond max_detections"];

// Of a candidate that is not shown: what it said, and what became of it.
function candidateOf(view, candidate) {
  const { page, decision } = view;
  const { selection } = decision;
  const winner = selection.beatenBy[candidate];
  const met = winner < 0 ? [] : [rival(decision, candidate, winner)];
  const table = met.map(({ winner: by, what, iou, wonBy }) => [candidateButton(view, by), what, number(iou, 3), number(wonBy)]);
  return [
    make("h2", "", `${page.classes[page.table.labels[candidate]].name} ${number(page.table.scores[candidate])}`),
    make("p", "quiet", `a raw candidate at ${edgesText(page.shown[candidate])} in the image: ${FATES[selection.fate[candidate]]}`),
    ...(met.length ? [part("Met a better one", tabled(["who", "this one was", "IoU", "lost by"], table, (column) => column > 1))] : []),
    ...originParts(view, candidate),
  ];
}

// Which thresholds would find a truth, as boxray found out by trying, with a button that turns them;
// of an object without a proposal, which of the first stage's would let the second look there.
function adviceOf(view, { counterfactual, proposing }) {
  return [
    ...changesPart(view, "From the first thresholds, it would be found with", counterfactual, true),
    ...changesPart(view, "The first stage would propose something there with its own", proposing, false),
  ];
}

// Of a point, what the browser finds out by trying.
function pointAdvice(view, point) {
  const score = scoreThatFinds(view.decision, point);
  if (score === null) return [];
  const line = make("p", "", `score_threshold <= ${rounded(score, Math.floor)} `);
  line.append(turnButton(view, { ...view.decision.thresholds, score_threshold: score }));
  return [part("A box would lie here with", line)];
}

function turnButton(view, thresholds) {
  const button = make("button", "", "Turn them");
  button.type = "button";
  button.addEventListener("click", () => view.turn(thresholds));
  return button;
}

function changesPart(view, heading, answer, canTurn) {
  if (!answer) return [];
  const changes = ["score_threshold", "iou_threshold", "pair"].map((name) => answer[name]).filter(Boolean);
  if (!changes.length) return [part(heading, make("p", "", "nothing: no score_threshold and no iou_threshold helps."))];
  changes.sort((a, b) => a.size - b.size);
  return [part(heading, ...changes.map((change) => adviceLine(view, change, canTurn)))];
}

function adviceLine(view, change, canTurn) {
  const knobs = [];
  if (change.score_threshold) knobs.push(`score_threshold <= ${rounded(change.score_threshold.value, Math.floor)}`);
  if (change.iou_threshold) {
    const raised = change.iou_threshold.value > change.iou_threshold.short_of;
    knobs.push(`iou_threshold ${raised ? ">=" : "<="} ${rounded(change.iou_threshold.value, raised ? Math.ceil : Math.floor)}`);
  }
  const line = make("p", "", `${knobs.join(" and ")} (${change.appears} more shown, ${change.vanishes} fewer) `);
  const lowest = change.score_threshold && change.score_threshold.value < view.page.floor;
  if (!canTurn || !view.page.live || lowest) return line;
  line.append(turnButton(view, {
    ...view.page.thresholds,
    ...(change.score_threshold ? { score_threshold: change.score_threshold.value } : {}),
    ...(change.iou_threshold ? { iou_threshold: change.iou_threshold.value } : {}),
  }));
  return line;
}

const rounded = (value, side) => (side(value * 1e4) / 1e4).toFixed(4);
