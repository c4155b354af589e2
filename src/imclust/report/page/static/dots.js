// The points of a large map as pixels of one picture: 100 000 take a few milliseconds, so that the map
// moves with the hand; as Bokeh's marks they took a second.
const FADED = 15; // of 255: how much is left of the points of clusters that are not asked for
const dots = { canvas: null, x: null, y: null, colour: null, faded: null, waiting: false };

// Any colours of CSS as pixels.
function pixelsOf(colours) {
  const context = make("canvas", { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  const known = new Map();
  const pixel = (colour) => {
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return new Uint32Array(context.getImageData(0, 0, 1, 1).data.buffer)[0];
  };
  return Uint32Array.from(colours, (colour) => {
    if (!known.has(colour)) known.set(colour, pixel(colour));
    return known.get(colour);
  });
}

function paintDots(colours, alphas) {
  dots.colour = pixelsOf(colours);
  dots.faded = Uint8Array.from(alphas, (alpha) => (alpha < 0.5 ? 1 : 0));
  drawDotsSoon();
}

function drawDotsSoon() {
  if (dots.waiting || !dots.canvas) return;
  dots.waiting = true;
  requestAnimationFrame(drawDots);
}

function drawDots() {
  dots.waiting = false;
  const [plot, canvas, { x_scale: xs, y_scale: ys }] = [$("map-plot"), dots.canvas, map.view.frame];
  const [width, height] = [plot.clientWidth, plot.clientHeight].map((v) => Math.round(v * devicePixelRatio));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const picture = new ImageData(width, height);
  const pixels = new Uint32Array(picture.data.buffer);
  const side = Math.max(2, Math.round(3 * devicePixelRatio));
  const line = (scale) => [(scale.compute(65535) - scale.compute(0)) / 65535, scale.compute(0)].map((v) => v * devicePixelRatio);
  const [[ax, bx], [ay, by]] = [line(xs), line(ys)];
  const draw = (faded) => {
    for (let i = 0; i < R.n; i++) {
      if (dots.faded[i] !== faded) continue;
      const left = Math.round(ax * dots.x[i] + bx - side / 2);
      const top = Math.round(ay * dots.y[i] + by - side / 2);
      if (left < 0 || top < 0 || left + side > width || top + side > height) continue;
      const colour = faded ? ((dots.colour[i] & 0xffffff) | (FADED << 24)) >>> 0 : dots.colour[i];
      for (let at = top * width + left, end = at + side * width; at < end; at += width) {
        for (let x = at; x < at + side; x++) pixels[x] = colour;
      }
    }
  };
  draw(1);
  draw(0);
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

// Over the plot of Bokeh, which keeps the ranges and the tools; it looks at the points for a lasso only.
function putDots(chart) {
  [dots.x, dots.y] = [R.x, R.y].map((all) => Float32Array.from(map.order, (row) => all[row]));
  const plot = $("map-plot");
  dots.canvas = make("canvas", { className: "dots", "aria-hidden": "true" });
  plot.append(dots.canvas);
  for (const range of [chart.x_range, chart.y_range]) range.change.connect(drawDotsSoon);
  new ResizeObserver(() => setTimeout(drawDotsSoon, 200)).observe(plot);
  drawDotsSoon();
}
