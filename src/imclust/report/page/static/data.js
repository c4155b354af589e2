// What the page shows: small facts as JSON, a row an image in columns.
const $ = (id) => document.getElementById(id);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const F = JSON.parse($("facts").textContent);
const NONE = 0xffff;
const R = { n: F.n };

function bytes(text) {
  const raw = atob(text);
  const out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}

function numbers(text) {
  const view = new DataView(bytes(text).buffer);
  const out = new Uint16Array(view.byteLength / 2);
  for (let i = 0; i < out.length; i++) out[i] = view.getUint16(2 * i, true);
  return out;
}

function wholes(text) {
  const view = new DataView(bytes(text).buffer);
  return Uint32Array.from({ length: view.byteLength / 4 }, (_, i) => view.getUint32(4 * i, true));
}

async function readRows() {
  const packed = new Blob([bytes($("rows").textContent)]);
  $("rows").textContent = "";
  const stream = packed.stream().pipeThrough(new DecompressionStream("gzip"));
  const read = JSON.parse(await new Response(stream).text());
  for (const [name, value] of Object.entries(read)) {
    if (name === "others") R.others = value.map(numbers);
    else if (["near", "line", "seen"].includes(name)) R[name] = wholes(value);
    else R[name] = typeof value === "string" ? numbers(value) : value;
  }
  R.place = new Map(R.id.map((id, row) => [id, row]));
}

const confidence = (row) => R.confidence[row] / 65535;
// Characters that are not seen, as marks; the same as in render.py.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const marked = (name) => name.replace(UNSEEN, (c) => `[U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}]`);
const called = (row) => marked((R.file && R.file[row]) || R.id[row]);
const labelOf = (row) => (R.label[row] === NONE ? null : F.classes[R.label[row]]);
const nameOf = (cluster) => cluster === NONE ? "one that is not shown" : marked(state.names[cluster] || F.names[cluster] || "") || `new cluster ${cluster - F.names.length + 1}`;

// An element with properties, attributes (where the name has a dash or is one of these) and children.
function make(tag, settings = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(settings)) {
    if (name.includes("-") || ["role", "for", "title"].includes(name)) element.setAttribute(name, value);
    else if (name === "data") Object.assign(element.dataset, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const SHAPES = ["circle", "square", "triangle", "diamond", "inverted_triangle", "hex"];
const COLOURS = 24;
const OF_A_SHAPE = 8; // clusters: shapes tell apart what colours alone do not, to some eyes
const shapeOf = (number) => Math.floor(number / OF_A_SHAPE) % SHAPES.length;
// Of a cluster; those that the reader makes have the ones of their numbers.
const colourOf = (cluster) => F.colours[cluster] ?? cluster % COLOURS;
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// How much of white, or of black, a shade of a colour has: by turns, more each time.
const SHADE = 0.65;
function mixOf(shade) {
  const mixed = Math.round(100 * SHADE ** Math.ceil(shade / 2));
  return { mixed, ground: shade % 2 ? "white" : "black" };
}

function paintMark(mark, number, colour = colourOf(number), shade = 0) {
  const { mixed, ground } = mixOf(shade);
  mark.style.setProperty("--mark", shade ? `color-mix(in srgb, var(--c${colour}) ${mixed}%, ${ground})` : `var(--c${colour})`);
  mark.dataset.shape = shapeOf(number);
}

function markOf(number, colour, shade) {
  const mark = make("span", { className: "mark", "aria-hidden": "true" });
  paintMark(mark, number, colour, shade);
  return mark;
}

// The same as a number, for what knows only plain colours.
function shaded(hex, shade) {
  const { mixed, ground } = mixOf(shade);
  const part = (at) => Math.round((parseInt(hex.slice(at, at + 2), 16) * mixed + (ground === "white" ? 255 : 0) * (100 - mixed)) / 100);
  return `#${[1, 3, 5].map((at) => part(at).toString(16).padStart(2, "0")).join("")}`;
}
