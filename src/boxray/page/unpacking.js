// The data of an explanation's page as boxray.explain.packing makes it, with its arrays.
function bytesOf(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

const arrayOf = (text, Kind) => new Kind(bytesOf(text).buffer);

function unpack(data) {
  const table = {
    boxes: arrayOf(data.table.boxes, Float32Array),
    scores: arrayOf(data.table.scores, Float32Array),
    labels: arrayOf(data.table.labels, Uint16Array),
    rows: arrayOf(data.table.rows, Uint32Array),
    groups: arrayOf(data.table.groups, Uint16Array),
    best: arrayOf(data.table.best, Uint8Array),
  };
  return {
    ...data,
    table,
    live: data.fixed === null,
    shown: Array.from(table.scores, (_, one) => inImage(data.placement, boxAt(table.boxes, one))),
    targets: data.targets.map((target) => ({ ...target, point: null, reachable: bytesOf(target.reachable) })),
    layers: data.layers.map((layer) => ({ ...layer, sureness: arrayOf(layer.sureness, Float32Array) })),
  };
}
