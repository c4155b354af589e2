// Names on the map: each at the middle of its cluster's points, the larger clusters first, none over another.
const MOST_LABELS = 150;
const LABEL_GAP = 3; // pixels between two of them
const labels = { box: null, places: [], waiting: false };

// The point of each cluster nearest to the median of all of its points: it is one of them in any case.
function middles() {
  const members = F.names.map(() => []);
  for (let row = 0; row < R.n; row++) members[R.cluster[row]].push(row);
  const median = (rows, of) => Float32Array.from(rows, (row) => of[row]).sort()[rows.length >> 1];
  return members
    .map((rows, cluster) => {
      if (!rows.length) return null;
      const [x, y] = [median(rows, R.x), median(rows, R.y)];
      const far = (row) => (R.x[row] - x) ** 2 + (R.y[row] - y) ** 2;
      const row = rows.reduce((best, each) => (far(each) < far(best) ? each : best));
      return { cluster, size: rows.length, x: R.x[row], y: R.y[row] };
    })
    .filter(Boolean)
    .sort((a, b) => b.size - a.size)
    .slice(0, MOST_LABELS);
}

function putLabels(chart) {
  const plot = $("map-plot");
  labels.box = make("div", { className: "labels", "aria-hidden": "true" });
  plot.append(labels.box);
  labels.places = middles();
  nameLabels();
  for (const range of [chart.x_range, chart.y_range]) range.change.connect(placeLabelsSoon);
  new ResizeObserver(() => setTimeout(placeLabelsSoon, 200)).observe(plot);
}

// Their texts, which corrections change, and their sizes, which need to be known once only.
function nameLabels() {
  if (!labels.box) return;
  for (const place of labels.places) place.label = make("span", { className: "name" }, nameOf(place.cluster));
  labels.box.replaceChildren(...labels.places.map((place) => place.label));
  for (const place of labels.places) [place.width, place.height] = [place.label.offsetWidth, place.label.offsetHeight];
  placeLabelsSoon();
}

function placeLabelsSoon() {
  if (labels.waiting || !labels.box) return;
  labels.waiting = true;
  requestAnimationFrame(placeLabels);
}

function placeLabels() {
  labels.waiting = false;
  const { x_scale: xs, y_scale: ys } = map.view.frame;
  const [width, height] = [labels.box.clientWidth, labels.box.clientHeight];
  const wanted = map.cluster === "" ? null : Number(map.cluster);
  const told = ["cluster", "confidence"].includes($("map-colour").value);
  const taken = [];
  const free = (a) => taken.every((b) => a.left > b.right + LABEL_GAP || b.left > a.right + LABEL_GAP || a.top > b.bottom + LABEL_GAP || b.top > a.bottom + LABEL_GAP);
  for (const place of labels.places) {
    const [x, y] = [xs.compute(place.x), ys.compute(place.y)];
    const there = x >= 0 && y >= 0 && x <= width && y <= height;
    const left = Math.max(0, Math.min(width - place.width, x - place.width / 2));
    const box = { left, right: left + place.width, top: y - place.height / 2, bottom: y + place.height / 2 };
    const shown = told && there && (wanted === null || wanted === place.cluster) && free(box);
    place.label.style.visibility = shown ? "visible" : "hidden";
    if (!shown) continue;
    taken.push(box);
    place.label.style.transform = `translate(${box.left}px, ${box.top}px)`;
  }
}
