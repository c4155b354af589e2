// Thumbnails: squares of a sheet, which becomes an image when the first of them is needed.
const sheetUrls = new Map();
const largePlace = new Map(F.large ? F.large.rows.map((row, place) => [row, place]) : []);

function sheetUrl(id) {
  if (!sheetUrls.has(id)) {
    const holder = $(id);
    const blob = new Blob([bytes(holder.textContent)], { type: "image/webp" });
    holder.remove();
    sheetUrls.set(id, URL.createObjectURL(blob));
  }
  return sheetUrls.get(id);
}

function picture(row) {
  const pic = make("span", { className: "pic", role: "img", "aria-label": described(row) });
  paintPicture(pic, row);
  return pic;
}

function paintPicture(pic, row) {
  const large = largePlace.has(row);
  const layout = large ? F.large : F.sprites;
  const place = large ? largePlace.get(row) : row;
  const sheet = Math.floor(place / layout.per);
  const within = place % layout.per;
  const count = large ? F.large.rows.length : F.n;
  const lines = Math.ceil(Math.min(layout.per, count - sheet * layout.per) / layout.columns);
  const share = (at, of) => (of > 1 ? (100 * at) / (of - 1) : 0);
  pic.style.backgroundImage = `url("${sheetUrl(`${large ? "large" : "sheet"}-${sheet}`)}")`;
  pic.style.backgroundSize = `${100 * layout.columns}% ${100 * lines}%`;
  const x = share(within % layout.columns, layout.columns);
  const y = share(Math.floor(within / layout.columns), lines);
  pic.style.backgroundPosition = `${x}% ${y}%`;
  pic.classList.toggle("pixelated", layout.side < 48);
}

function described(row) {
  const label = labelOf(row);
  return `${called(row)}, ${nameOf(R.cluster[row])}${label === null ? "" : `, label ${label}`}`;
}

function details(row) {
  const label = labelOf(row);
  const lines = [
    called(row),
    R.file && R.file[row] ? `id ${marked(R.id[row])}` : null,
    `${nameOf(R.cluster[row])}, confidence ${confidence(row).toFixed(2)}`,
    `next: ${nameOf(R.runner_up[row])}`,
    label === null ? null : `label ${label}`,
    R.val[row] ? "validation" : null,
  ];
  return lines.filter((line) => line !== null).join("\n");
}

// A tile is a toggle: pressed means selected.
function tile(row, caption) {
  const inside = F.texts
    ? make("span", { className: "text" }, R.text[row])
    : picture(row);
  const cap = caption ? make("span", { className: "cap clip" }, ...caption) : null;
  const button = make(
    "button",
    { type: "button", className: "tile", title: details(row), "aria-pressed": String(state.selected.has(row)), data: { row } },
    inside,
    cap,
  );
  return make("li", {}, button);
}

function fill(list, rows, captions = () => null) {
  list.classList.toggle("texts", F.texts);
  list.replaceChildren(...rows.map((row) => tile(row, captions(row))));
}

// Calls `show` once an element comes near the window.
const nearby = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      showNow(entry.target);
    }
  },
  { rootMargin: "600px" },
);
const whenNear = new Map();
function showNow(element) {
  nearby.unobserve(element);
  const show = whenNear.get(element);
  whenNear.delete(element);
  if (show) show();
}
// What is printed was perhaps never scrolled to.
addEventListener("beforeprint", () => [...whenNear.keys()].forEach(showNow));
function onceNear(element, show) {
  whenNear.set(element, show);
  nearby.observe(element);
}

// What lies on the way to a place gets its true height only when it comes near: the place is sought
// until it stays, or until somebody scrolls elsewhere.
function goToPlace(place) {
  const until = performance.now() + 2000;
  const now = () => ({ top: place.getBoundingClientRect().top, scrolled: scrollY });
  const near = (a, b) => Math.abs(a - b) < 2;
  let left = null, still = 0;
  const seek = () => {
    const { top, scrolled } = now();
    if (left) {
      const stays = near(top + scrolled, left.top + left.scrolled);
      if (stays && !near(top, left.top)) return;
      still = stays ? still + 1 : 0;
    }
    if (still > 8 || performance.now() > until) return;
    place.scrollIntoView({ behavior: "instant" });
    left = now();
    requestAnimationFrame(seek);
  };
  seek();
}

// Links within the page, and the address that it is opened with.
function links() {
  for (const link of all('a[href^="#"]')) {
    link.addEventListener("click", (event) => {
      const place = document.querySelector(link.hash);
      if (!place || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      location.hash = link.hash;
      if (!place.hasAttribute("tabindex")) place.tabIndex = -1;
      place.focus({ preventScroll: true });
      goToPlace(place);
    });
  }
  const first = location.hash && document.getElementById(location.hash.slice(1));
  if (first) goToPlace(first);
}

// Pages of tiles, so that a hundred thousand do not stand in the page at once.
const PAGE = 120;
function paged(list, pager, rows, captions) {
  const pages = Math.max(1, Math.ceil(rows.length / PAGE));
  let page = 0;
  const show = () => {
    fill(list, rows.slice(page * PAGE, (page + 1) * PAGE), captions);
    const go = (text, step, name) =>
      make("button", {
        type: "button",
        "aria-label": name,
        disabled: page + step < 0 || page + step >= pages,
        onclick: () => {
          page += step;
          show();
          pager.querySelector("button:not(:disabled)")?.focus();
        },
      }, text);
    pager.replaceChildren();
    if (pages > 1) {
      pager.append(go("‹", -1, "Previous page"), `page ${page + 1} of ${pages}`, go("›", 1, "Next page"));
    }
  };
  show();
}
