// What can be laid over the picture: boxes, cells, priors, and how sure each cell is; needs
// elements.js and verdict.js. Everything is drawn in pixels of the image.
const TRUTH = { found: "#009e73", lost: "#d55e00" };
const START = "#f0e442", CELL = "#ffffff", RIVAL = "#56b4e9";

// A box of the canvas where it lies over the image, which it may leave.
function overImage({ image_hw, resized_hw, offset }, box) {
  return Array.from(box, (edge, i) => {
    const axis = i % 2 ? 0 : 1; // height first
    return ((edge - offset[axis]) * image_hw[axis]) / resized_hw[axis];
  });
}

function gridLines(page, layer) {
  const [high, wide] = layer.cell_hw, [rows, columns] = layer.grid_hw;
  const ends = [];
  for (let i = 0; i <= columns; i++) ends.push([i * wide, 0, i * wide, rows * high]);
  for (let i = 0; i <= rows; i++) ends.push([0, i * high, columns * wide, i * high]);
  const path = ends.map((box) => overImage(page.placement, box)).map(([x0, y0, x1, y1]) => `M${x0} ${y0}L${x1} ${y1}`);
  return [draw("path", { d: path.join(""), class: "grid under" }), draw("path", { d: path.join(""), class: "grid over" })];
}

const cellBox = ({ cell_hw: [high, wide] }, column, row) => [column * wide, row * high, (column + 1) * wide, (row + 1) * high];

// Each cell as opaque as it is sure; what is below one hundredth stays clear.
function surenessMap(page, layer) {
  const columns = layer.grid_hw[1];
  return Array.from(layer.sureness, (sure, i) => [sure, cellBox(layer, i % columns, Math.floor(i / columns))])
    .filter(([sure]) => sure >= 0.01)
    .map(([sure, box]) =>
      draw("rect", { ...placed(overImage(page.placement, box)), class: "sure", "fill-opacity": (0.1 + 0.75 * sure).toFixed(3) },
        draw("title", {}, `${layer.says} ${sure.toFixed(3)}`)));
}

// The cell around a point of the image, null outside.
function cellAt(page, layer, [x, y]) {
  const { image_hw, resized_hw, offset } = page.placement;
  const onCanvas = [(y * resized_hw[0]) / image_hw[0] + offset[0], (x * resized_hw[1]) / image_hw[1] + offset[1]];
  const [row, column] = onCanvas.map((at, axis) => Math.floor(at / layer.cell_hw[axis]));
  const inside = row >= 0 && column >= 0 && row < layer.grid_hw[0] && column < layer.grid_hw[1];
  return inside ? { row, column, sure: layer.sureness[row * layer.grid_hw[1] + column] } : null;
}

// The priors of a level at one of its cells.
function priorsAt(page, layer, { row, column }) {
  const [high, wide] = layer.cell_hw;
  const [x, y] = [(column + layer.prior_at) * wide, (row + layer.prior_at) * high];
  const boxes = layer.priors.map(([w, h]) => [x - w / 2, y - h / 2, x + w / 2, y + h / 2]);
  return [
    ...framed(placed(overImage(page.placement, cellBox(layer, column, row))), "cell", CELL),
    ...boxes.flatMap((box) => framed(placed(overImage(page.placement, box)), "dashed", START)),
  ];
}

// Where a box came from: its cell, what it was measured from, and the way to where it lies.
function provenance(page, origin, box) {
  const parts = [];
  const layer = page.layers[origin.where.level];
  if (layer && origin.where.cell) {
    const [column, row] = origin.where.cell;
    parts.push(...framed(placed(overImage(page.placement, cellBox(layer, column, row))), "cell", CELL));
  }
  const start = overImage(page.placement, origin.start);
  parts.push(...framed(placed(start), "dashed", START));
  const middle = ([x0, y0, x1, y1]) => [(x0 + x1) / 2, (y0 + y1) / 2];
  const [[x1, y1], [x2, y2]] = [middle(start), middle(box)];
  parts.push(draw("line", { x1, y1, x2, y2, class: "way under" }), draw("line", { x1, y1, x2, y2, class: "way over" }));
  parts.push(draw("circle", { cx: x2, cy: y2, r: Math.max(...page.placement.image_hw) / 160, class: "way-end" }));
  return parts;
}

// A name at the top left corner of a box, in per cent of the picture.
function tag(page, box, text, colour, ink) {
  const [height, width] = page.placement.image_hw;
  const label = make("span", "tag", text);
  label.style.background = colour;
  label.style.color = ink;
  label.style.left = `${Math.max(0, Math.min(85, (100 * box[0]) / width))}%`;
  label.style.top = `${Math.max(0, Math.min(95, (100 * box[1]) / height))}%`;
  return label;
}
