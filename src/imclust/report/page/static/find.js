// Images by the name of their file, in a line of likeness, or like another one.
const likeThese = (row) => {
  const k = R.near.length / R.n;
  return [...R.near.subarray(row * k, (row + 1) * k)].filter((other) => other !== row);
};

function showFound(rows, text, narrowed) {
  $("find-count").textContent = text;
  $("find-all").hidden = !narrowed;
  paged($("found"), $("found-pager"), rows, () => null);
  showMoves();
}

function showAll() {
  $("find-word").value = "";
  showFound([...(R.line || Array.from({ length: R.n }, (_, row) => row))], "", false);
}

function findWord() {
  const word = $("find-word").value.trim().toLowerCase();
  if (!word) return showAll();
  const order = R.line || Array.from({ length: R.n }, (_, row) => row);
  const text = (row) => `${called(row)} ${R.id[row]} ${F.texts ? R.text[row] : ""}`.toLowerCase();
  const rows = [...order].filter((row) => text(row).includes(word));
  return showFound(rows, `${rows.length} of ${R.n}`, true);
}

function moreLike(row) {
  $("find-word").value = "";
  showFound([row, ...likeThese(row)], `like ${called(row)}, the likest first`, true);
  $("find").scrollIntoView();
}

function finding() {
  $("find-word").addEventListener("input", findWord);
  $("find-all").addEventListener("click", showAll);
  $("like")?.addEventListener("click", () => moreLike([...state.selected][0]));
  onceNear($("found"), () => $("found").childElementCount || showAll());
}

function looks() {
  if (!F.look) return;
  if (F.look.copies.length) {
    const told = new Map(F.look.copies.flat().map(([row, what, like]) => [row, [what === "near copy" ? `near copy, ${like.toFixed(2)}` : make(what === "best" ? "b" : "span", {}, what)]]));
    onceNear($("copies"), () => paged($("copies"), $("copies-pager"), F.look.copies.flat().map(([row]) => row), (row) => told.get(row)));
  }
  for (const list of all("[data-look]")) {
    const rows = F.look.kinds[Number(list.dataset.look)][1].map(([row]) => row);
    onceNear(list, () => paged(list, list.nextElementSibling, rows, (row) => [called(row)]));
  }
}

// One level of clusters at a time, on the map too.
function levels() {
  for (const button of all("[data-level]")) {
    button.addEventListener("click", () => {
      const name = button.dataset.level;
      for (const other of all("[data-level]")) other.setAttribute("aria-pressed", String(other === button));
      for (const part of all("[data-level-of]")) part.hidden = part.dataset.levelOf !== name;
      if (!F.space) return;
      $("map-colour").value = name === "chosen" ? "cluster" : `level-${name}`;
      paintMap();
    });
  }
}

// Four pictures of every cluster, where the page begins.
function mosaic() {
  for (const place of all("[data-mosaic]")) {
    const rows = place.dataset.mosaic.split(",").map(Number);
    onceNear(place, () => place.replaceChildren(...rows.map(picture)));
  }
}
