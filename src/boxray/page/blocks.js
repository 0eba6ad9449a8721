"use strict";
// Blocks below each other. Whatever comes from a user only ever becomes a text node.
const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

function outline(box) {
  const [x0, y0, x1, y1] = box.edges;
  return ["under", "over"].map((layer) => {
    const rect = document.createElementNS(SVG, "rect");
    const placed = { x: x0, y: y0, width: Math.max(0, x1 - x0), height: Math.max(0, y1 - y0) };
    for (const [name, value] of Object.entries(placed)) rect.setAttribute(name, value);
    rect.setAttribute("class", box.dashed ? `${layer} dashed` : layer);
    if (layer === "over") rect.setAttribute("stroke", box.colour);
    const title = document.createElementNS(SVG, "title");
    title.textContent = box.name;
    rect.append(title);
    return rect;
  });
}

// The first box of each kind, and how many there are.
function kinds(outlines) {
  const counted = new Map();
  for (const box of outlines) {
    const kind = `${box.dashed} ${box.label}`;
    const [first, count] = counted.get(kind) ?? [box, 0];
    counted.set(kind, [first, count + 1]);
  }
  return counted.values();
}

function shot(one) {
  const [height, width] = one.size_hw;
  const image = make("img");
  image.src = one.source;
  image.alt = one.title;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.append(...one.outlines.flatMap(outline));
  const names = make("ul", "chips");
  for (const [first, count] of kinds(one.outlines)) {
    const mark = make("span", first.dashed ? "mark dashed" : "mark");
    mark.style.borderColor = first.colour;
    names.append(make("li", "", mark, count > 1 ? `${first.label} × ${count}` : first.label));
  }
  const caption = make("figcaption", "", make("strong", "", one.title));
  if (one.words) caption.append(make("p", "quiet", one.words));
  if (one.outlines.length) caption.append(names);
  return make("figure", "shot", make("div", "frame", image, svg), caption);
}

const DARKEST = 45; // per cent of the accent, under letters that stay legible
const NUMBER = /^([-+]?[\d.,]+( ?%)?|none)$/;

function table({ head, rows, shade }) {
  const whole = make("table");
  const top = make("tr");
  const kinds = head.map((_, j) => (j && rows.every((row) => NUMBER.test(row[j])) ? "number" : ""));
  head.forEach((name, j) => {
    const cell = make("th", kinds[j], name);
    cell.scope = "col";
    top.append(cell);
  });
  const body = make("tbody");
  rows.forEach((row, i) => {
    const line = make("tr");
    row.forEach((text, j) => {
      const cell = make(j ? "td" : "th", kinds[j], text);
      if (!j) cell.scope = "row";
      if (shade) cell.style.setProperty("--shade", `${Math.round(DARKEST * shade[i][j])}%`);
      line.append(cell);
    });
    body.append(line);
  });
  whole.append(make("thead", "", top), body);
  return make("div", shade ? "scroll shaded" : "scroll", whole);
}

const SHOWN = {
  words: ({ lines }) => make("div", "", ...lines.map((line) => make("p", "", line))),
  table,
  picture: ({ source, words }) => {
    const image = make("img");
    image.src = source;
    image.alt = words;
    return make("figure", "wide", image);
  },
  gallery: ({ shots }) => make("div", "gallery", ...shots.map(shot)),
};

document.getElementById("title").textContent = data.title;
for (const { heading, blocks } of data.sections) {
  const section = make("section", "", make("h2", "", heading));
  section.append(...blocks.map((block) => SHOWN[block.kind](block)));
  document.getElementById("blocks").append(section);
}
