"use strict";
// What every page is made of. Whatever comes from a user only ever becomes a text node.
const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

function draw(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Edges as the places of a rect; of a box that is inside out, none of its inside.
const placed = ([x0, y0, x1, y1]) => ({ x: x0, y: y0, width: Math.max(0, x1 - x0), height: Math.max(0, y1 - y0) });

// A frame that shows on any background: a dark rim below its colour.
function framed(place, className, colour) {
  const over = { ...place, class: `over ${className}` };
  return [draw("rect", { ...place, class: `under ${className}` }), draw("rect", colour ? { ...over, stroke: colour } : over)];
}

function pictured(source, words) {
  const image = make("img");
  image.src = source;
  image.alt = words;
  return image;
}

// Rows of texts or elements under a head; a column is of numbers where `numbers` says so.
function tabled(head, rows, numbers = () => false) {
  const kind = (column) => (numbers(column) ? "number" : "");
  const whole = make("table");
  const top = make("tr");
  head.forEach((name, column) => {
    const cell = make("th", kind(column), name);
    cell.scope = "col";
    top.append(cell);
  });
  const body = make("tbody");
  for (const row of rows) body.append(make("tr", "", ...row.map((cell, column) => make("td", kind(column), cell))));
  whole.append(make("thead", "", top), body);
  return make("div", "scroll", whole);
}
