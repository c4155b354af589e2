// The map: every image a point; hover shows it, a click goes to its cluster, a lasso selects.
const CELLS = 160; // of the grid that finds the point under the pointer, a side
const REACH = 14; // pixels from the pointer to a point
const CIVIDIS = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]];
const map = { view: null, source: null, ring: null, order: null, cluster: "" };

// Points are drawn in a random but fixed order, so that no cluster lies on top of another.
function shuffled(n) {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  let seed = 1;
  for (let i = n - 1; i > 0; i--) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    const j = seed % (i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

function gridOf() {
  const cell = (v) => Math.min(CELLS - 1, Math.floor((v * CELLS) / 65536));
  const start = new Uint32Array(CELLS * CELLS + 1);
  const where = new Uint32Array(R.n);
  for (let i = 0; i < R.n; i++) start[(where[i] = cell(R.x[i]) * CELLS + cell(R.y[i])) + 1]++;
  for (let c = 0; c < CELLS * CELLS; c++) start[c + 1] += start[c];
  const next = start.slice();
  const rows = new Uint32Array(R.n);
  for (let i = 0; i < R.n; i++) rows[next[where[i]]++] = i;
  return { start, rows, cell };
}

function nearest(grid, x, y, rx, ry) {
  const clamp = (v) => Math.max(0, Math.min(65535, v));
  let best = -1;
  let least = 1;
  for (let a = grid.cell(clamp(x - rx)); a <= grid.cell(clamp(x + rx)); a++) {
    for (let b = grid.cell(clamp(y - ry)); b <= grid.cell(clamp(y + ry)); b++) {
      for (let i = grid.start[a * CELLS + b]; i < grid.start[a * CELLS + b + 1]; i++) {
        const row = grid.rows[i];
        if (map.cluster !== "" && R.cluster[row] !== Number(map.cluster)) continue;
        const far = ((R.x[row] - x) / rx) ** 2 + ((R.y[row] - y) / ry) ** 2;
        if (far <= least) [best, least] = [row, far];
      }
    }
  }
  return best;
}

// The end of the scale that the background would swallow is left out.
const ramp = (share) => {
  const [from, to] = document.documentElement.dataset.theme === "dark" ? [0.3, 1] : [0, 0.85];
  const at = Math.max(0, Math.min(0.9999, from + (to - from) * share)) * (CIVIDIS.length - 1);
  const [low, high] = [CIVIDIS[Math.floor(at)], CIVIDIS[Math.floor(at) + 1]];
  return `rgb(${low.map((v, i) => Math.round(v + (high[i] - v) * (at % 1))).join(",")})`;
};

function kindOf(mode) {
  if (mode === "label") return (row) => (R.label[row] === NONE ? -1 : R.label[row]);
  if (mode.startsWith("level-")) {
    const of = R[mode.slice(6)];
    return (row) => (of[row] === NONE ? -1 : of[row]);
  }
  if (mode.startsWith("moved-")) {
    const run = Number(mode.slice(6));
    return (row) => (hasMoved(run, row) ? 4 : -1);
  }
  return (row) => R.cluster[row];
}

function colours(mode) {
  const none = css("--line");
  if (mode === "confidence") {
    const steps = Array.from({ length: 64 }, (_, i) => ramp(i / 63));
    return { colour: (row) => steps[R.confidence[row] >> 10], shape: () => "circle" };
  }
  const palette = Array.from({ length: COLOURS }, (_, i) => css(`--c${i}`));
  const kind = kindOf(mode);
  const look = lookOf(mode);
  const painted = new Map();
  const of = (number) => {
    if (!painted.has(number)) {
      const [as, colour, shade] = look(number);
      painted.set(number, [shaded(palette[colour], shade), SHAPES[shapeOf(as)]]);
    }
    return painted.get(number);
  };
  return {
    colour: (row) => (kind(row) < 0 ? none : of(kind(row))[0]),
    shape: (row) => (kind(row) < 0 ? "circle" : of(kind(row))[1]),
  };
}

const levelOf = (mode) => F.levels.find((level) => level.name === mode.slice(6));

// What a group of the map looks like: the cluster or number that it is shaped as, a colour, a shade.
function lookOf(mode) {
  if (mode === "cluster") return (cluster) => [cluster, colourOf(cluster), 0];
  if (!mode.startsWith("level-")) return (number) => [number, number % COLOURS, 0];
  const { looks } = levelOf(mode);
  return (group) => [looks[group][0], colourOf(looks[group][0]), looks[group][1]];
}

function paintMap() {
  const { colour, shape } = colours($("map-colour").value);
  const wanted = map.cluster === "" ? null : Number(map.cluster);
  const data = { ...map.source.data };
  data.colour = Array.from(map.order, colour);
  data.shape = Array.from(map.order, shape);
  data.alpha = Float32Array.from(map.order, (row) => (wanted === null || R.cluster[row] === wanted ? 0.85 : 0.06));
  if (F.dots) {
    paintDots(data.colour, data.alpha);
    data.shape = data.shape.fill(null); // Bokeh draws none of these
  }
  map.source.data = data;
  placeLabelsSoon();
  legend();
}

function legend() {
  const mode = $("map-colour").value;
  const list = $("map-legend");
  const look = lookOf(mode);
  const entry = (number, name, chosen = null) => {
    const inside = [markOf(...look(number)), make("span", { className: "name" }, name)];
    if (chosen === null) return make("li", {}, make("span", { className: "entry" }, ...inside));
    const press = () => chooseOnMap(map.cluster === chosen ? "" : chosen);
    const pressed = String(map.cluster === chosen);
    return make("li", {}, make("button", { type: "button", "aria-pressed": pressed, title: name, onclick: press }, ...inside));
  };
  if (mode === "confidence") {
    const bar = make("span", { className: "ramp", "aria-hidden": "true" });
    bar.style.background = `linear-gradient(90deg, ${[0, 0.25, 0.5, 0.75, 1].map(ramp).join(",")})`;
    list.replaceChildren(make("li", {}, make("span", { className: "entry" }, "0", bar, "1")));
  } else if (mode === "label") list.replaceChildren(...F.classes.map((name, i) => entry(i, name)));
  else if (mode.startsWith("level-")) list.replaceChildren(...levelOf(mode).groups.map((group, i) => entry(i, group.title)));
  else if (mode.startsWith("moved-")) list.replaceChildren(entry(4, "moved"));
  else list.replaceChildren(...F.names.map((_, c) => entry(c, nameOf(c), String(c))));
}

function chooseOnMap(cluster) {
  map.cluster = cluster;
  $("map-cluster").value = cluster;
  if (map.source) paintMap();
}

function ringSelected() {
  if (!map.ring) return;
  const rows = [...state.selected];
  map.ring.data = { x: rows.map((row) => R.x[row]), y: rows.map((row) => R.y[row]) };
}

async function drawMap() {
  map.order = shuffled(R.n);
  const size = Math.max(3, Math.min(10, 260 / Math.sqrt(R.n)));
  const empty = new Array(R.n);
  map.source = new Bokeh.ColumnDataSource({
    data: { x: Float32Array.from(map.order, (i) => R.x[i]), y: Float32Array.from(map.order, (i) => R.y[i]), colour: empty, shape: empty, alpha: empty },
  });
  map.ring = new Bokeh.ColumnDataSource({ data: { x: [], y: [] } });
  const pan = new Bokeh.PanTool();
  const lasso = new Bokeh.LassoSelectTool({ continuous: false });
  const wheel = new Bokeh.WheelZoomTool({ modifiers: { ctrl: true } });
  const chart = figure({ tools: [pan, lasso, wheel], match_aspect: true, min_border: 0, output_backend: "canvas" });
  chart.toolbar.active_drag = pan;
  chart.toolbar.active_scroll = wheel;
  for (const part of [...chart.below, ...chart.left, ...chart.center]) part.visible = false;
  paintMap();
  const points = chart.scatter({ field: "x" }, { field: "y" }, {
    source: map.source, size, marker: { field: "shape" }, fill_color: { field: "colour" }, fill_alpha: { field: "alpha" }, line_color: null,
    nonselection_fill_alpha: { field: "alpha" }, nonselection_line_color: null,
  });
  chart.scatter({ field: "x" }, { field: "y" }, { source: map.ring, size: size + 7, fill_color: null, line_color: css("--ink"), line_width: 2 });
  lasso.renderers = [points];
  const mine = map.source.selected;
  mine.properties.indices.change.connect(() => {
    const rows = mine.indices.map((i) => map.order[i]);
    if (!rows.length) return;
    mine.indices = [];
    select(rows.filter((row) => map.cluster === "" || R.cluster[row] === Number(map.cluster)), true);
  });
  map.view = await put(chart, $("map-plot"));
  if (F.dots) putDots(chart);
  putLabels(chart);
  points.visible = !F.dots;
  mapTools(chart, pan, lasso, points);
  mapPointer(gridOf());
  ringSelected();
}

function mapTools(chart, pan, lasso, points) {
  const whole = [chart.x_range, chart.y_range].map((r) => ({ start: r.start, end: r.end }));
  for (const button of all("[data-tool]")) {
    button.addEventListener("click", () => {
      pan.active = button.dataset.tool === "pan";
      lasso.active = !pan.active;
      points.visible = lasso.active || !F.dots;
      for (const other of all("[data-tool]")) other.setAttribute("aria-pressed", String(other === button));
    });
  }
  const scale = (range, by) => {
    const [middle, half] = [(range.start + range.end) / 2, ((range.end - range.start) / 2) * by];
    range.have_updated_interactively = true; // else new colours would show the whole map again
    range.setv({ start: middle - half, end: middle + half });
  };
  for (const button of all("[data-zoom]")) {
    button.addEventListener("click", () => {
      const how = button.dataset.zoom;
      const ranges = [chart.x_range, chart.y_range];
      if (how === "reset") ranges.forEach((range, i) => range.setv(whole[i]));
      else ranges.forEach((range) => scale(range, how === "in" ? 0.6 : 1 / 0.6));
    });
  }
}

function mapPointer(grid) {
  const plot = $("map-plot");
  const under = (event) => {
    const box = plot.getBoundingClientRect();
    const [sx, sy] = [event.clientX - box.left - plot.clientLeft, event.clientY - box.top - plot.clientTop];
    const { x_scale: xs, y_scale: ys } = map.view.frame;
    const [x, y] = [xs.invert(sx), ys.invert(sy)];
    return nearest(grid, x, y, Math.abs(xs.invert(sx + REACH) - x), Math.abs(ys.invert(sy + REACH) - y));
  };
  let down = null;
  plot.addEventListener("pointerdown", (event) => (down = [event.clientX, event.clientY]), true);
  plot.addEventListener("pointermove", (event) => event.pointerType !== "touch" && hover(event.buttons ? -1 : under(event), event), true);
  plot.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && hover(-1, event));
  plot.addEventListener("pointerup", (event) => {
    if (!down || Math.hypot(event.clientX - down[0], event.clientY - down[1]) > 5) return;
    const row = under(event);
    if (event.pointerType === "touch") hover(row, event);
    else if (row >= 0 && event.shiftKey) select([row]);
    else if (row >= 0) goTo(R.cluster[row]);
  }, true);
}

let hovered = -1;
function hover(row, event) {
  const card = $("hover");
  if (row !== hovered) {
    hovered = row;
    card.hidden = row < 0;
    if (row < 0) return;
    const touch = event.pointerType === "touch";
    card.classList.toggle("touch", touch);
    card.replaceChildren(
      ...(F.texts ? [make("p", { className: "clip" }, R.text[row])] : [picture(row)]),
      make("p", { className: "clip" }, make("b", {}, called(row))),
      make("p", { className: "what" }, ...facts(row)),
      ...(touch ? [make("button", { type: "button", onclick: () => goTo(R.cluster[row]) }, "To its cluster")] : []),
    );
  }
  if (row < 0) return;
  const frame = card.parentElement.getBoundingClientRect();
  const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
  const [width, height] = [card.offsetWidth, card.offsetHeight];
  card.style.left = `${Math.max(0, x + 18 + width < frame.width ? x + 18 : x - width - 18)}px`;
  card.style.top = `${Math.max(0, Math.min(y - 20, frame.height - height))}px`;
}

function facts(row) {
  const label = labelOf(row);
  const lines = [`${nameOf(R.cluster[row])} · ${confidence(row).toFixed(2)}`, `next: ${nameOf(R.runner_up[row])}`];
  if (label !== null) lines.push(`label: ${label}`);
  return lines.flatMap((line, i) => (i ? [make("br"), line] : [line]));
}
