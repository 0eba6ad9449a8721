// Blocks below each other; needs elements.js.
function outline(box) {
  const rects = framed(placed(box.edges), box.dashed ? "dashed" : "", box.colour);
  for (const rect of rects) rect.append(draw("title", {}, box.name));
  return rects;
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
  const image = pictured(one.source, one.title);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}` }, ...one.outlines.flatMap(outline));
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
  const whole = tabled(head, rows, (j) => j > 0 && rows.every((row) => NUMBER.test(row[j])));
  whole.querySelectorAll("tbody tr").forEach((line, i) => {
    if (shade) [...line.children].forEach((cell, j) => cell.style.setProperty("--shade", `${Math.round(DARKEST * shade[i][j])}%`));
    line.firstChild?.replaceWith(headOf(line.firstChild));
  });
  if (shade) whole.classList.add("shaded");
  return whole;
}

// The first cell of a row says what the row is about.
function headOf(cell) {
  const head = make("th", cell.className, ...cell.childNodes);
  head.scope = "row";
  return head;
}

const SHOWN = {
  words: ({ lines }) => make("div", "", ...lines.map((line) => make("p", "", line))),
  table,
  picture: ({ source, words }) => make("figure", "wide", pictured(source, words)),
  gallery: ({ shots }) => make("div", "gallery", ...shots.map(shot)),
};

document.getElementById("title").textContent = data.title;
for (const { heading, blocks } of data.sections) {
  const section = make("section", "", make("h2", "", heading));
  section.append(...blocks.map((block) => SHOWN[block.kind](block)));
  document.getElementById("blocks").append(section);
}
