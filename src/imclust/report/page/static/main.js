// Puts it all together.
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  $("theme").textContent = theme === "dark" ? "Light" : "Dark";
  $("theme").setAttribute("aria-label", `Switch to ${theme === "dark" ? "light" : "dark"} colours`);
}

function themes() {
  const preferred = matchMedia("(prefers-color-scheme: dark)");
  setTheme(preferred.matches ? "dark" : "light");
  const change = (theme) => {
    setTheme(theme);
    dressAll();
    if (map.source) paintMap();
  };
  preferred.addEventListener("change", () => change(preferred.matches ? "dark" : "light"));
  $("theme").addEventListener("click", () => change(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
}

function broken(error) {
  const text = typeof DecompressionStream === "undefined" ? "This browser is too old to unpack the page's data; a newer one shows it." : `The page's data could not be read: ${error.message}`;
  document.body.prepend(make("p", { className: "broken", role: "alert" }, text));
}

async function start() {
  themes();
  Bokeh.logger?.set_level?.("error");
  all("[data-table]").forEach(enhance);
  all("[data-copy]").forEach(copying);
  for (const mark of all(".mark[data-cluster], .sizes [data-cluster]")) paintMark(mark, Number(mark.dataset.cluster), undefined, Number(mark.dataset.shade ?? 0));
  await readRows();
  restore();
  listen();
  galleries();
  pairs();
  suggestions();
  looks();
  mosaic();
  levels();
  finding();
  comparison();
  afterChange();
  $("cluster-order").addEventListener("change", orderClusters);
  $("cluster-filter").addEventListener("input", filterClusters);
  $("cluster-single").addEventListener("change", filterClusters);
  for (const button of all("[data-onmap]")) {
    button.addEventListener("click", () => {
      chooseOnMap(button.dataset.onmap);
      goToPlace($("map"));
      $("map-cluster").focus({ preventScroll: true });
    });
  }
  if (F.space) {
    $("map-cluster").addEventListener("change", () => chooseOnMap($("map-cluster").value));
    $("map-colour").addEventListener("change", paintMap);
    await drawMap();
  }
  if (F.tree) onceNear($("tree-plot"), () => drawTree($("tree-plot")));
  if (F.training) drawTraining();
  if (F.k) drawCount();
  links();
  document.documentElement.dataset.ready = "yes";
}

start().catch((error) => {
  broken(error);
  throw error;
});
