// Lines by Bokeh, in the colours of the page.
const charts = [];

function figure(settings) {
  const chart = Bokeh.Plotting.figure({ sizing_mode: "stretch_both", toolbar_location: null, tools: "", min_border: 12, ...settings });
  charts.push(chart);
  dress(chart);
  return chart;
}

function dress(chart) {
  const [ink, soft, line, card] = ["--ink", "--soft", "--line", "--card"].map(css);
  chart.background_fill_color = card;
  chart.border_fill_color = card;
  chart.outline_line_color = null;
  chart.title.text_color = ink;
  chart.title.text_font = "sans-serif";
  for (const axis of [...chart.below, ...chart.left]) {
    axis.axis_label_text_color = soft;
    axis.axis_label_text_font_style = "normal";
    axis.major_label_text_color = soft;
    axis.axis_line_color = line;
    axis.major_tick_line_color = line;
    axis.minor_tick_line_color = null;
  }
  for (const grid of chart.center) if ("grid_line_color" in grid) grid.grid_line_color = line;
}

const dressAll = () => charts.forEach(dress);
const put = (chart, place) => Bokeh.Plotting.show(chart, place);
const finite = (xs, ys) => {
  const kept = xs.map((x, i) => [x, ys[i]]).filter(([, y]) => Number.isFinite(y));
  return [kept.map(([x]) => x), kept.map(([, y]) => y)];
};

function curve(place, xs, ys, { title, x, y, log = false, mark = null, range = null }) {
  const chart = figure({ y_axis_type: log ? "log" : "linear", x_axis_label: x, y_axis_label: y, ...(title ? { title } : {}), ...(range ? { y_range: range } : {}) });
  const [at, values] = finite(xs, ys);
  chart.line(at, values, { line_width: 2, line_color: css("--accent") });
  if (mark) chart.scatter([mark[0]], [mark[1]], { size: 9, fill_color: css("--c4"), line_color: null });
  dress(chart);
  return put(chart, place);
}

function drawTree(place) {
  const { x, y, order } = F.tree;
  place.style.height = `${Math.max(8, 4.5 + 1.5 * order.length)}rem`;
  const chart = figure({ x_axis_label: "how far apart", y_range: new Bokeh.Range1d({ start: 0, end: 10 * order.length }) });
  chart.multi_line(x, y, { line_width: 2, line_color: css("--accent") });
  const axis = chart.left[0];
  const plain = (text) => text.replace(/[\\$]/g, " "); // Bokeh would read formulas
  const short = (text) => plain(text.length > 26 ? `${text.slice(0, 25)}…` : text);
  axis.ticker = new Bokeh.FixedTicker({ ticks: order.map((_, i) => 5 + 10 * i) });
  axis.major_label_overrides = new Map(order.map((cluster, i) => [5 + 10 * i, short(F.names[cluster])]));
  for (const grid of chart.center) grid.visible = false;
  return put(chart, place);
}

function drawTraining() {
  const t = F.training;
  t.curves.forEach(({ name, epoch, loss }, i) => {
    const place = $(`loss-plot-${i}`);
    onceNear(place, () => curve(place, epoch, loss, { title: `Loss of ${name}`, x: "epoch", y: "loss", log: Math.min(...loss) > 0 }));
  });
  const plot = $("accuracy-plot");
  if (!plot) return;
  const marks = t.checkpoints;
  onceNear(plot, () => curve(plot, marks.map((m) => m.epoch), marks.map((m) => m.accuracy), { title: "Accuracy at checkpoints (shown, never used to choose)", x: "epoch", y: "accuracy", range: [0, 1.02] }));
}

function drawCount() {
  const { columns, favourites, k } = F.k;
  for (const [name, values] of Object.entries(columns)) {
    if (name === "k") continue;
    const best = name === "vote" ? k : favourites[name];
    const at = columns.k.indexOf(best);
    const told = best === undefined ? "" : `: ${name === "vote" ? "answer" : "favours"} ${best}`;
    const place = make("div", { className: "plot", role: "img", "aria-label": `${name} over K${told}` });
    $("k-plots").append(place);
    onceNear(place, () => curve(place, columns.k, values, { title: name + told, x: "K", mark: at < 0 ? null : [best, values[at]] }));
  }
}
