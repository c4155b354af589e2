// Images by what is seen in them or the name of their file, in a line of likeness, or like another one.
const likeThese = (row) => {
  const k = R.near.length / R.n;
  return [...R.near.subarray(row * k, (row + 1) * k)].filter((other) => other !== row);
};

// A word in small letters without gaps, and what it may be the plural of; the same as in word_records.py.
function forms(text) {
  const word = text.trim().toLowerCase().replace(/[\s-]+/g, "");
  const endings = [["", ""], ["s", ""], ["es", ""], ["ies", "y"]];
  return new Set(endings.filter(([s]) => word.endsWith(s)).map(([s, y]) => word.slice(0, word.length - s.length) + y).filter(Boolean));
}

// Places in R.word_list that a query means: the words that are it, else those in which a word begins so.
function wordsLike(query) {
  const wanted = forms(query);
  const places = R.word_list.map((_, place) => place);
  const same = places.filter((place) => [...forms(R.word_list[place])].some((form) => wanted.has(form)));
  const begin = query.trim().toLowerCase();
  const begins = (word) => word.startsWith(begin) || word.includes(` ${begin}`) || word.includes(`-${begin}`);
  return same.length ? same : places.filter((place) => begins(R.word_list[place].toLowerCase()));
}

// Of the images in which any of these words is seen: share of each, and how much each word is seen in all.
const LEAST = 0.05;
function seenAs(places) {
  const meant = new Set(places);
  const said = R.class_words.map((mine) => mine.filter((place) => meant.has(place)));
  const shares = new Map();
  const amounts = new Map();
  const width = R.seen.length / R.n;
  for (let row = 0; row < R.n; row++) {
    let share = 0;
    for (const number of R.seen.subarray(row * width, (row + 1) * width)) {
      const words = number ? said[number >> 8] : [];
      if (!words.length) continue;
      share += (number & 255) / 255;
      for (const place of words) amounts.set(place, (amounts.get(place) || 0) + (number & 255));
    }
    if (share >= LEAST) shares.set(row, share);
  }
  const likest = [...amounts].sort((a, b) => b[1] - a[1]).map(([place]) => place);
  const of = (place) => said.flatMap((mine, number) => (mine.includes(place) ? [number] : [])).join();
  const once = likest.filter((place, i) => likest.findIndex((other) => of(other) === of(place)) === i);
  return { shares, words: once.map((place) => R.word_list[place]) };
}

const SHOWN_WORDS = 6;
function showFound(rows, text, narrowed, captions = () => null) {
  $("find-count").textContent = text;
  $("find-all").hidden = !narrowed;
  paged($("found"), $("found-pager"), rows, captions);
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
  if (!R.seen) return showFound(rows, `${rows.length} of ${R.n}`, true);
  const { shares, words } = seenAs(wordsLike(word));
  const likest = [...shares.keys()].sort((a, b) => shares.get(b) - shares.get(a) || a - b);
  const named = rows.filter((row) => !shares.has(row));
  const parts = [];
  if (likest.length) parts.push(`${likest.length} of ${R.n} seen as ${words.slice(0, SHOWN_WORDS).join(", ")}${words.length > SHOWN_WORDS ? " and more" : ""}, the surest first`);
  if (rows.length) parts.push(`${rows.length} of ${R.n} by file name`);
  const none = `Nothing matches: ${wordsLike(word).length ? "the network sees it in no image" : "the network knows no such word"}, and no file is called so`;
  return showFound([...likest, ...named], parts.join("; ") || none, true, (row) => (shares.has(row) ? [shares.get(row).toFixed(2)] : null));
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
  onceNear($("found"), () => $("find-all").hidden && showAll());  // nothing was looked for before
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
