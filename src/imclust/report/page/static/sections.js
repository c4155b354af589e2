// Galleries, the order of clusters, and what moved between runs.
function galleries() {
  for (const list of all("ul.tiles[data-rows]")) {
    const rows = list.dataset.rows.split(",").filter(Boolean).map(Number);
    const mistakes = list.closest("#labels") !== null;
    const caption = (row) => (mistakes ? [make("b", {}, labelOf(row)), ` in ${nameOf(R.cluster[row])}, ${confidence(row).toFixed(2)}`] : null);
    onceNear(list, () => {
      fill(list, rows, caption);
      showMoves();
    });
  }
  for (const whole of all("details.all")) {
    const list = whole.querySelector("ul");
    whole.addEventListener("toggle", () => {
      if (!whole.open || list.childElementCount) return;
      const cluster = Number(list.dataset.all);
      const rows = [];
      for (let row = 0; row < R.n; row++) if (R.cluster[row] === cluster) rows.push(row);
      paged(list, whole.querySelector(".pager"), rows, () => null);
    });
  }
}

function orderClusters() {
  const by = $("cluster-order").value;
  const value = (article) => {
    if (by === "doubt") return -Number(article.dataset.doubt);
    if (by === "size") return -Number(article.dataset.size);
    return Number(article.dataset[by === "confidence" ? "confidence" : "cluster"]);
  };
  const articles = all("article.cluster").sort((a, b) => value(a) - value(b));
  $("cluster-list").append(...articles);
}

function filterClusters() {
  const word = $("cluster-filter").value.trim().toLowerCase();
  const single = $("cluster-single").checked;
  const articles = all("article.cluster");
  let shown = 0;
  for (const article of articles) {
    const name = nameOf(Number(article.dataset.cluster)).toLowerCase();
    article.hidden = !((name.includes(word) || article.dataset.cluster === word) && (!single || Number(article.dataset.size) < 2));
    shown += !article.hidden;
  }
  $("cluster-count").textContent = shown < articles.length ? `${shown} of ${articles.length} clusters` : "";
}

function goTo(cluster) {
  $("cluster-filter").value = "";
  $("cluster-single").checked = false;
  filterClusters();
  const article = $(`cluster-${cluster}`);
  for (const other of all(".cluster.found")) other.classList.remove("found");
  article.classList.add("found");
  goToPlace(article);
  article.focus({ preventScroll: true });
}

function hasMoved(run, row) {
  const theirs = R.others[run][row];
  return theirs !== NONE && F.against[run].ours[theirs] !== R.cluster[row];
}

function movedRows() {
  const run = Number($("moved-run").value);
  const flow = $("moved-flow").value;
  const word = $("moved-filter").value.trim().toLowerCase();
  const rows = [];
  for (let row = 0; row < R.n; row++) {
    if (!hasMoved(run, row)) continue;
    if (flow && flow !== `${R.others[run][row]}-${R.cluster[row]}`) continue;
    if (word && !`${R.id[row]} ${called(row)}`.toLowerCase().includes(word)) continue;
    rows.push(row);
  }
  return rows;
}

// Clusters of another run go by the names of ours that they match.
const theirName = (run, cluster) => {
  const same = F.against[run].ours[cluster];
  return same < 0 ? `its ${F.against[run].names[cluster]}` : nameOf(same);
};

function showMoved() {
  const run = Number($("moved-run").value);
  const rows = movedRows();
  $("moved-count").textContent = `${rows.length} moved`;
  const caption = (row) => [`${theirName(run, R.others[run][row])} → `, make("b", {}, nameOf(R.cluster[row]))];
  paged($("moved"), $("moved-pager"), rows, caption);
}

function showFlows() {
  const run = Number($("moved-run").value);
  const option = (value, text) => make("option", { value }, text);
  $("moved-flow").replaceChildren(
    option("", "all"),
    ...F.against[run].flows.slice(0, 300).map(([ours, theirs, n]) => option(`${theirs}-${ours}`, `${theirName(run, theirs)} → ${nameOf(ours)} (${n})`)),
  );
  showMoved();
}

function comparison() {
  if (!F.against.length) return;
  $("moved-run").addEventListener("change", showFlows);
  $("moved-flow").addEventListener("change", showMoved);
  $("moved-filter").addEventListener("input", showMoved);
  onceNear($("moved"), showFlows);
}
