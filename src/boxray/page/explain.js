// The page of one picture: what was decided, asked about by pointing, and decided again by sliders.
const page = unpack(data);
const [HEIGHT, WIDTH] = page.placement.image_hw;
const MOST_HOVERED = 12;
const at = (id) => document.getElementById(id);
const state = { thresholds: { ...page.thresholds }, decision: null, asked: null, cursor: null, level: -1, shown: { boxes: true, truths: true } };

const view = {
  page,
  get decision() { return state.decision; },
  pointAt: (candidate) => at("pointed").replaceChildren(...(candidate === null ? [] : framed(placed(page.shown[candidate]), "thick", RIVAL))),
  ask,
  turn,
};

const colourOf = (candidate) => page.classes[page.table.labels[candidate]];
const keptPlace = (candidate) => state.decision.selection.origins.findIndex((origins) => origins.includes(candidate));

function turn(thresholds) {
  state.thresholds = thresholds;
  state.decision = decide(page, thresholds);
  showControls();
  showBoxes();
  showLists();
  showAnswer();
}

// asked: {candidate}, {truth} or {point}; null asks nothing.
function ask(asked) {
  state.asked = asked;
  showBoxes();
  showLists();
  showAnswer();
}

// The smallest box around the point, of detections and of lost objects; else the point itself.
function askAt(point) {
  const place = placeAt(state.decision, point);
  const area = ([x0, y0, x1, y1]) => (x1 - x0) * (y1 - y0);
  let best = place < 0 ? { point } : { candidate: state.decision.selection.kept[place] };
  let least = place < 0 ? Infinity : area(state.decision.shown[place]);
  page.targets.forEach(({ box }, truth) => {
    if (!state.shown.truths || overlapWith({ box: null, point }, box) < 1 || area(box) >= least) return;
    if (verdict(state.decision, page.targets, truth).killer !== null) [best, least] = [{ truth }, area(box)];
  });
  ask(best);
}

function showAnswer() {
  const { asked, decision } = state;
  const parts = answerTo(asked, decision);
  at("answer").replaceChildren(...parts);
  at("answer").scrollTop = 0;
  at("provenance").replaceChildren(...provenanceOf(asked));
}

function answerTo(asked, decision) {
  if (!asked) return [make("h2", "", "Ask"), make("p", "", page.hint)];
  if (asked.truth !== undefined) return deathOf(view, verdict(decision, page.targets, asked.truth), adviceOf(view, page.targets[asked.truth]));
  if (asked.candidate !== undefined) {
    const place = keptPlace(asked.candidate);
    return place < 0 ? candidateOf(view, asked.candidate) : lifeOf(view, life(decision, place));
  }
  const place = placeAt(decision, asked.point);
  if (place >= 0) return lifeOf(view, life(decision, place));
  const told = verdict(decision, [{ box: null, point: asked.point, label: null, name: null }], 0);
  const partly = [
    ...(page.complete ? [] : [`Counted among candidates of score ${page.floor.toPrecision(2)} and more.`]),
    ...(page.two_stages ? ["What the first stage proposed is told of annotated objects only."] : []),
  ];
  return [...deathOf(view, told, pointAdvice(view, asked.point)), ...partly.map((line) => make("p", "quiet", line))];
}

function provenanceOf(asked) {
  if (!asked) return [];
  if (asked.truth !== undefined) return framed(placed(page.targets[asked.truth].box), "thick dashed", TRUTH.lost);
  const place = asked.point ? placeAt(state.decision, asked.point) : keptPlace(asked.candidate);
  if (asked.point && place < 0) return crossAt(asked.point, "asked");
  const candidate = place < 0 ? asked.candidate : state.decision.selection.origins[place][0];
  const box = place < 0 ? page.shown[candidate] : state.decision.shown[place];
  const origin = page.origins[candidate];
  return [...framed(placed(box), "thick", colourOf(candidate).colour), ...(origin ? provenance(page, origin, box) : [])];
}

function crossAt([x, y], className) {
  const arm = Math.max(HEIGHT, WIDTH) / 50;
  const d = `M${x - arm} ${y}H${x + arm}M${x} ${y - arm}V${y + arm}`;
  return ["under", "over"].map((layer) => draw("path", { d, class: `cross ${layer} ${className}` }));
}

function showBoxes() {
  const { decision } = state;
  const tags = [], rects = [];
  if (state.shown.boxes)
    for (const place of decision.detections) {
      const kept = decision.selection.kept[place];
      const { name, colour, ink } = colourOf(kept);
      rects.push(...framed(placed(decision.shown[place]), "", colour));
      tags.push(tag(page, decision.shown[place], `${name} ${decision.selection.scores[place].toFixed(2)}`, colour, ink));
    }
  if (state.shown.truths)
    page.targets.forEach(({ box }, truth) => {
      const lost = verdict(decision, page.targets, truth).killer !== null;
      rects.push(...framed(placed(box), "dashed", lost ? TRUTH.lost : TRUTH.found));
    });
  at("boxes").replaceChildren(...rects);
  at("tags").replaceChildren(...tags);
}

function chosenButton(text, chosen, asked) {
  const button = make("button", "choice", text);
  button.type = "button";
  button.setAttribute("aria-pressed", chosen);
  button.addEventListener("click", () => ask(asked));
  return button;
}

function showLists() {
  const { decision, asked } = state;
  const { selection } = decision;
  const ofPoint = asked?.point ? placeAt(decision, asked.point) : -1;
  at("detections").replaceChildren(...decision.detections.map((place, i) => {
    const kept = selection.kept[place];
    const chosen = place === ofPoint || (asked?.candidate !== undefined && selection.origins[place].includes(asked.candidate));
    return make("li", "", chosenButton(`${i} ${colourOf(kept).name} ${selection.scores[place].toFixed(2)}`, chosen, { candidate: kept }));
  }));
  if (!decision.detections.length) at("detections").append(make("li", "quiet", "none: no box is shown at these thresholds"));
  at("truths").replaceChildren(...page.targets.map((target, truth) => {
    const { killer } = verdict(decision, page.targets, truth);
    return make("li", "", chosenButton(`${target.name}: ${killer ? `lost at ${killer}` : "found"}`, asked?.truth === truth, { truth }));
  }));
  at("truths-part").hidden = !page.targets.length;
}

// What lies around a point before anything is selected, and the cell of the level that is shown.
function hover(point) {
  state.cursor = point;
  const around = page.shown.flatMap((box, one) => (page.table.scores[one] >= page.floor && point && overlapWith({ box: null, point }, box) ? [one] : []));
  const best = bestFirst(page.table, around).slice(0, MOST_HOVERED);
  at("raw").replaceChildren(...best.flatMap((one) => framed(placed(page.shown[one]), "raw", colourOf(one).colour)));
  const layer = page.layers[state.level];
  const cell = layer && point ? cellAt(page, layer, point) : null;
  at("priors").replaceChildren(...(cell && at("layer-priors").checked ? priorsAt(page, layer, cell) : []));
  at("under").textContent = point ? hoverText(point, around.length, best, layer, cell) : page.hint;
}

function hoverText([x, y], count, best, layer, cell) {
  const said = best.slice(0, 3).map((one) => `${colourOf(one).name} ${page.table.scores[one].toFixed(2)} (${FATES[state.decision.selection.fate[one]]})`);
  const sure = cell ? `; cell ${cell.column}, ${cell.row}: ${layer.says} ${cell.sure.toFixed(3)}` : "";
  return `${x.toFixed(0)}, ${y.toFixed(0)}: ${count} raw candidates${said.length ? `, best ${said.join(", ")}` : ""}${sure}`;
}

function showLayers() {
  state.level = Number(at("layer-level").value);
  const layer = page.layers[state.level];
  for (const name of ["grid", "sureness", "priors"]) at(`layer-${name}`).disabled = !layer;
  at("grid").replaceChildren(...(layer && at("layer-grid").checked ? gridLines(page, layer) : []));
  at("sureness").replaceChildren(...(layer && at("layer-sureness").checked ? surenessMap(page, layer) : []));
  hover(state.cursor);
}

// Sliders and lists that decide again.
function showControls() {
  for (const name of ["score_threshold", "iou_threshold"]) {
    at(name).value = state.thresholds[name];
    at(`${name}-number`).textContent = +state.thresholds[name].toFixed(4);
  }
  for (const name of ["method", "suppress_within"]) at(name).value = state.thresholds[name];
  at("reset").disabled = !page.live || JSON.stringify(state.thresholds) === JSON.stringify(page.thresholds);
  at("count").textContent = `${state.decision.detections.length} shown, ${state.decision.selection.entered.length} entered suppression.`;
}

function startControls() {
  at("score_threshold").min = page.floor;
  for (const name of ["score_threshold", "iou_threshold"])
    at(name).addEventListener("input", () => turn({ ...state.thresholds, [name]: Number(at(name).value) }));
  const methods = page.live ? page.methods : [page.thresholds.method];
  at("method").append(...methods.map((name) => new Option(name, name)));
  for (const name of ["method", "suppress_within"])
    at(name).addEventListener("input", () => turn({ ...state.thresholds, [name]: at(name).value }));
  at("reset").addEventListener("click", () => turn({ ...page.thresholds }));
  if (!page.live) for (const name of ["score_threshold", "iou_threshold", "method", "suppress_within"]) at(name).disabled = true;
  at("level-part").hidden = !page.layers.length;
  at("layer-level").append(...page.layers.map(({ name }, level) => new Option(name, level)));
  for (const name of ["level", "grid", "sureness", "priors"]) at(`layer-${name}`).addEventListener("input", showLayers);
  if (page.layers.length) at("sureness-name").textContent = page.layers[0].says;
  for (const name of ["boxes", "truths"])
    at(`show-${name}`).addEventListener("input", () => {
      state.shown[name] = at(`show-${name}`).checked;
      showBoxes();
    });
  at("show-truths").closest("label").hidden = !page.targets.length;
}

function startStage() {
  const stage = at("stage");
  stage.style.setProperty("--aspect", WIDTH / HEIGHT);
  stage.prepend(pictured(page.source, page.title));
  at("overlay").setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  const pointOf = ({ clientX, clientY }) => {
    const frame = at("overlay").getBoundingClientRect();
    const share = (from, at, length) => Math.min(Math.max((at - from) / length, 0), 1 - 1e-9);
    return [share(frame.left, clientX, frame.width) * WIDTH, share(frame.top, clientY, frame.height) * HEIGHT];
  };
  stage.addEventListener("pointermove", (event) => hover(pointOf(event)));
  stage.addEventListener("pointerleave", () => hover(null));
  stage.addEventListener("click", (event) => askAt(pointOf(event)));
  stage.addEventListener("keydown", steer);
  stage.addEventListener("blur", () => at("cursor").replaceChildren());
}

// The picture by keys: arrows move a cross, Enter asks there, Escape asks nothing.
function steer(event) {
  const step = Math.max(HEIGHT, WIDTH) / (event.shiftKey ? 10 : 50);
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const [x, y] = state.cursor ?? [WIDTH / 2, HEIGHT / 2];
  if (event.key in moves) {
    const [right, down] = moves[event.key];
    const clamp = (value, most) => Math.min(Math.max(value, 0), most * (1 - 1e-9));
    const point = [clamp(x + right * step, WIDTH), clamp(y + down * step, HEIGHT)];
    hover(point);
    at("cursor").replaceChildren(...crossAt(point, ""));
  } else if (event.key === "Enter") askAt([x, y]);
  else if (event.key === "Escape") ask(null);
  else return;
  event.preventDefault();
}

document.title = page.title;
at("title").textContent = page.title;
at("words").append(...page.words.map((line) => make("p", "quiet", line)));
startControls();
startStage();
turn({ ...page.thresholds });
showLayers();
if (page.start) page.start.point ? askAt(page.start.point) : ask({ candidate: state.decision.selection.kept[page.start.place] });
