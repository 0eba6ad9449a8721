// Cards with pictures, boxes and words; needs elements.js.
const wanted = {};

const nameOf = (box) => (box.label === null ? "this box" : data.classes[box.label].name);
const colourOf = (box) => (box.label === null ? "#ff2d46" : data.classes[box.label].colour);
const inkOf = (box) => (box.label === null ? "#000000" : data.classes[box.label].ink);

// COCO's sizes: small below 32 x 32 pixels, large from 96 x 96.
function sizeOf([x0, y0, x1, y1]) {
  const area = (x1 - x0) * (y1 - y0);
  return area < 32 ** 2 ? "small" : area < 96 ** 2 ? "medium" : "large";
}

// One predicate per filter; those of boxes are asked together, about the same box.
const ofBox = {
  class: (box, value) => box.label !== null && nameOf(box) === value,
  size: (box, value) => sizeOf(box.edges) === value,
  flag: (box, value) => box.flags.includes(value),
};
const ofCard = {
  state: (card, value) => card.state === value,
  severity: (card, value) => card.severity === value,
  check: (card, value) => card.check === value,
  name: (card, value) => card.title.toLowerCase().includes(value.toLowerCase()),
};

const asked = (kind) => Object.entries(wanted).filter(([name, value]) => value && name in kind);
const boxFits = (box) => asked(ofBox).every(([name, value]) => ofBox[name](box, value));

function cardFits(card) {
  if (!asked(ofCard).every(([name, value]) => ofCard[name](card, value))) return false;
  return !asked(ofBox).length || card.pictures.some((picture) => picture.boxes.some(boxFits));
}

// The part of a box that can be seen; of one without any, a mark at the place nearest to it.
function seen([x0, y0, x1, y1], [height, width]) {
  const mark = Math.max(height, width) / 40;
  const clamp = (value, most) => Math.max(0, Math.min(most, value));
  const x = clamp(Math.min(x0, x1), width - mark);
  const y = clamp(Math.min(y0, y1), height - mark);
  return { x, y, width: Math.max(mark, clamp(Math.max(x0, x1), width) - x), height: Math.max(mark, clamp(Math.max(y0, y1), height) - y) };
}

function overlay(picture) {
  const [height, width] = picture.hw;
  const someWanted = picture.boxes.some((box) => box.wanted);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  for (const box of picture.boxes) {
    const place = box.wanted ? seen(box.edges, picture.hw) : placed(box.edges);
    const faint = boxFits(box) && (box.wanted || !someWanted) ? "" : " faint";
    svg.append(...framed(place, (box.wanted ? "wanted" : "") + faint, box.wanted ? null : colourOf(box)));
  }
  return svg;
}

function thumbnail(card, picture) {
  const button = make("button", "picture");
  button.type = "button";
  button.setAttribute("aria-label", `enlarge ${picture.name}`);
  const image = pictured(data.sources[picture.source], picture.name);
  image.loading = "lazy";
  [image.height, image.width] = picture.hw;
  button.append(image, overlay(picture));
  button.addEventListener("click", () => enlarge(card, picture));
  return button;
}

function chips(card) {
  const counts = new Map();
  for (const picture of card.pictures)
    for (const box of picture.boxes.filter(({ label }) => label !== null))
      counts.set(box.label, (counts.get(box.label) || 0) + 1);
  const list = make("ul", "chips");
  for (const [label, count] of counts) {
    const item = make("li");
    const dot = draw("svg", { viewBox: "0 0 2 2", "aria-hidden": "true" });
    dot.append(draw("circle", { cx: 1, cy: 1, r: 1, fill: data.classes[label].colour }));
    item.append(dot, make("span", "", `${data.classes[label].name} ${count}`));
    list.append(item);
  }
  return list;
}

function showCard(card) {
  const article = make("article", "card");
  const pictures = make("div", "pictures");
  pictures.append(...card.pictures.filter(({ source }) => source !== null).map((picture) => thumbnail(card, picture)));
  const words = make("div", "words");
  words.append(make("h3", "", card.title));
  if (card.severity) words.append(make("p", card.severity, `${card.severity}: ${card.check}`));
  words.append(...card.lines.map((line) => make("p", "", line)));
  if (data.chips) words.append(chips(card));
  article.append(pictures, words);
  return article;
}

function row(box) {
  const [x0, y0, x1, y1] = box.edges.map((edge) => Math.round(edge));
  return [nameOf(box), `${x0}, ${y0}, ${x1}, ${y1}`, `${x1 - x0} x ${y1 - y0}`, box.flags.join(", "), `${box.line || ""}`];
}

function enlarge(card, picture) {
  const dialog = make("dialog");
  const close = make("button", "", "Close");
  close.addEventListener("click", () => dialog.close());
  const view = make("div", "view");
  view.append(pictured(data.sources[picture.source], picture.name), overlay(picture));
  for (const box of picture.boxes.filter(boxFits)) {
    const tag = make("span", "tag", nameOf(box));
    tag.style.background = colourOf(box);
    tag.style.color = inkOf(box);
    tag.style.left = `${Math.max(0, Math.min(90, (100 * box.edges[0]) / picture.hw[1]))}%`;
    tag.style.top = `${Math.max(0, Math.min(96, (100 * box.edges[1]) / picture.hw[0]))}%`;
    view.append(tag);
  }
  const head = ["class", "box: x0, y0, x1, y1", "size", "flags", "line"];
  const scroll = tabled(head, picture.boxes.filter(boxFits).map(row), (j) => [1, 2, 4].includes(j));
  dialog.append(close, make("h2", "", picture.name), view, scroll);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}

function filter({ name, options }) {
  const label = make("label", "", name);
  const control = make(options ? "select" : "input");
  control.id = `filter-${name}`;
  if (options) control.append(new Option("any", ""), ...options.map(({ value, text }) => new Option(text, value)));
  else control.type = "search";
  control.addEventListener("input", () => {
    wanted[name] = control.value;
    update();
  });
  label.append(control);
  return label;
}

function update() {
  const fitting = data.cards.filter(cardFits);
  document.getElementById("cards").replaceChildren(...fitting.map(showCard));
  document.getElementById("status").textContent = `${fitting.length} of ${data.cards.length} ${data.noun}`;
}

document.getElementById("title").textContent = data.title;
document.getElementById("words").append(...data.words.map((line) => make("p", "quiet", line)));
document.getElementById("filters").append(...data.filters.map(filter));
update();
