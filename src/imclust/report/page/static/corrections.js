// The reader's own judgement: kept here, undone here, saved as a file that `cluster` reads.
const FORMAT = "imclust-corrections-1";
const KEEP = `imclust corrections ${F.assignment}`;
const APART = 20; // images kept apart from each other at once: pairs grow with the square
const K = F.names.length; // numbers from here on are clusters that the reader makes
const nothing = () => ({ names: {}, merge: [], move: {}, must_link: [], cannot_link: [] });
const state = { selected: new Set(), names: {}, made: nothing(), before: [] };

function change(edit) {
  state.before.push(JSON.stringify(state.made));
  edit(state.made);
  afterChange();
}

// New clusters are numbered without a gap, whatever was taken back.
function renumberNew(made) {
  const used = [...new Set(Object.values(made.move).filter((c) => c >= K))].sort((a, b) => a - b);
  const to = new Map(used.map((c, i) => [c, K + i]));
  for (const [id, c] of Object.entries(made.move)) if (c >= K) made.move[id] = to.get(c);
  const names = Object.entries(made.names).filter(([c]) => c < K || to.has(Number(c)));
  made.names = Object.fromEntries(names.map(([c, name]) => [c < K ? c : to.get(Number(c)), name]));
  return used.length;
}

function offerNew(count) {
  const options = Array.from({ length: count }, (_, i) => make("option", { value: K + i }, nameOf(K + i)));
  for (const old of all("#move-to option")) if (old.value !== "new" && Number(old.value) >= K) old.remove();
  $("move-to").querySelector("[value=new]").before(...options);
  $("new-names").replaceChildren(
    ...Array.from({ length: count }, (_, i) => {
      const name = make("input", { type: "text", value: state.made.names[K + i] || "", maxLength: 200, size: 14, data: { rename: K + i } });
      return make("label", {}, `new cluster ${i + 1} is called `, name);
    }),
  );
}

function afterChange() {
  const count = renumberNew(state.made);
  state.names = state.made.names;
  try {
    localStorage.setItem(KEEP, JSON.stringify(state.made));
  } catch {
    // a page of a file may have no storage; the corrections then last as long as the page
  }
  offerNew(count);
  showNames();
  showMoves();
  showAnswers();
  showCorrections();
  showSelection();
}

function restore() {
  try {
    state.made = { ...nothing(), ...JSON.parse(localStorage.getItem(KEEP) || "{}") };
  } catch {
    state.made = nothing();
  }
}

function select(rows, add = true) {
  for (const row of rows) {
    if (add) state.selected.add(row);
    else state.selected.delete(row);
  }
  showSelection();
}

function toggle(row) {
  select([row], !state.selected.has(row));
}

function showSelection() {
  const n = state.selected.size;
  const marked = all("[data-merge]:checked").length;
  $("status").textContent = [n ? `${n} selected` : "Nothing selected", marked ? `${marked} cluster${marked === 1 ? "" : "s"} marked` : ""].filter(Boolean).join(", ");
  $("actions").hidden = !n && !marked;
  $("move-to").disabled = $("pin").disabled = !n;
  if ($("like")) $("like").disabled = n !== 1;
  $("must").disabled = n < 2;
  $("cannot").disabled = n < 2 || n > APART;
  $("cannot").title = n > APART ? `at most ${APART} at once` : "";
  $("merge").disabled = marked < 2;
  $("undo").disabled = !state.before.length;
  for (const button of all(".tile")) button.setAttribute("aria-pressed", String(state.selected.has(Number(button.dataset.row))));
  ringSelected();
}

function clearSelection() {
  state.selected.clear();
  for (const box of all("[data-merge]:checked")) box.checked = false;
  showSelection();
}

// Every one of [row, cluster]; a row's own cluster takes an earlier move back.
function moveRows(moves) {
  change((made) => {
    for (const [row, cluster] of moves) {
      if (R.cluster[row] === cluster) delete made.move[R.id[row]];
      else made.move[R.id[row]] = cluster;
    }
  });
  clearSelection();
}

function moveSelected(value) {
  const fresh = K + new Set(Object.values(state.made.move).filter((c) => c >= K)).size;
  const cluster = value === "new" ? fresh : Number(value);
  moveRows([...state.selected].map((row) => [row, cluster]));
}

function pinRows(rows) {
  change((made) => rows.forEach((row) => (made.move[R.id[row]] = R.cluster[row])));
  clearSelection();
}

// Images close to moved ones: shown, never moved but by the reader.
function suggestions() {
  if (!F.suggestions.length) return;
  const rows = F.suggestions.map(([row]) => row);
  const told = new Map(F.suggestions.map(([row, to, sure, because]) => [row, [`to `, make("b", {}, F.names[to]), `, ${sure.toFixed(2)} sure, like ${called(because)}`]]));
  fill($("suggested"), rows, (row) => told.get(row));
  const act = (only) => moveRows(F.suggestions.filter(([row]) => !only || state.selected.has(row)).map(([row, to]) => [row, to]));
  $("accept-all").addEventListener("click", () => act(false));
  $("accept").addEventListener("click", () => act(true));
  $("keep-all").addEventListener("click", () => pinRows(rows));
}

function link(kind) {
  const ids = [...state.selected].map((row) => R.id[row]);
  const chain = ids.slice(1).map((id, i) => [ids[i], id]);
  const each = ids.flatMap((a, i) => ids.slice(i + 1).map((b) => [a, b]));
  change((made) => made[kind].push(...(kind === "must_link" ? chain : each)));
  clearSelection();
}

function mergeMarked() {
  let group = all("[data-merge]:checked").map((box) => Number(box.dataset.merge));
  change((made) => {
    const touching = made.merge.filter((old) => old.some((c) => group.includes(c)));
    made.merge = made.merge.filter((old) => !touching.includes(old));
    group = [...new Set([...group, ...touching.flat()])].sort((a, b) => a - b);
    made.merge.push(group);
  });
  clearSelection();
}

function rename(cluster, text) {
  const name = text.trim();
  if (name === (state.made.names[cluster] || "")) return;
  change((made) => {
    if (name) made.names[cluster] = name;
    else delete made.names[cluster];
  });
}

function undo() {
  if (!state.before.length) return;
  state.made = JSON.parse(state.before.pop());
  afterChange();
}

// Every correction as [text, what takes it back].
function corrections() {
  const { names, merge, move, must_link: must, cannot_link: cannot } = state.made;
  const shown = (id) => (R.place.has(id) ? called(R.place.get(id)) : id);
  const without = (kind, item) => (made) => (made[kind] = made[kind].filter((one) => JSON.stringify(one) !== JSON.stringify(item)));
  return [
    ...Object.entries(names).map(([c, name]) => [`${c < K ? F.names[c] : `new cluster ${c - K + 1}`} is called ${name}`, (made) => delete made.names[c]]),
    ...merge.map((group) => [`merge ${group.map((c) => nameOf(c)).join(" + ")}`, without("merge", group)]),
    ...Object.entries(move).map(([id, c]) => {
      const stays = R.place.has(id) && R.cluster[R.place.get(id)] === c;
      return [`${shown(id)} ${stays ? "stays in" : "to"} ${nameOf(c)}`, (made) => delete made.move[id]];
    }),
    ...must.map((pair) => [`together: ${pair.map(shown).join(" and ")}`, without("must_link", pair)]),
    ...cannot.map((pair) => [`apart: ${pair.map(shown).join(" and ")}`, without("cannot_link", pair)]),
  ];
}

function showCorrections() {
  const rows = corrections();
  $("badge").textContent = rows.length;
  $("none").hidden = rows.length > 0;
  $("save").disabled = $("forget").disabled = !rows.length;
  $("list").replaceChildren(
    ...rows.slice(0, 500).map(([text, back]) =>
      make("li", {}, make("span", {}, text), make("button", { type: "button", "aria-label": `Take back: ${text}`, onclick: () => change(back) }, "Take back")),
    ),
  );
  if (rows.length > 500) $("list").append(make("li", {}, `and ${rows.length - 500} more`));
}

function showNames() {
  for (const article of all("article.cluster")) {
    const c = Number(article.dataset.cluster);
    article.querySelector(".name").textContent = nameOf(c);
    const input = article.querySelector("[data-rename]");
    if (document.activeElement !== input) input.value = state.made.names[c] || "";
  }
  for (const option of all("#move-to option, #map-cluster option")) {
    if (option.value !== "" && option.value !== "new") option.textContent = nameOf(Number(option.value));
  }
  if (map.source) {
    legend();
    nameLabels();
  }
}

function showMoves() {
  for (const button of all(".tile")) {
    const to = state.made.move[R.id[button.dataset.row]];
    if (to === undefined) delete button.dataset.moved;
    else button.dataset.moved = to === R.cluster[button.dataset.row] ? "stays" : nameOf(to);
  }
}

function correctionsFile() {
  const out = { format: FORMAT, assignment: F.assignment };
  for (const [name, value] of Object.entries(state.made)) {
    if (Object.keys(value).length) out[name] = value;
  }
  return `${JSON.stringify(out, null, 1)}\n`;
}

// Every file has a name of its own: a second download of one name would be another file.
function fileName() {
  let times = 1;
  try {
    times = 1 + Number(localStorage.getItem(`${KEEP} saved`) || 0);
    localStorage.setItem(`${KEEP} saved`, times);
  } catch {
    // no storage, no count
  }
  return times > 1 ? F.corrections.replace(".json", `-saved${times}.json`) : F.corrections;
}

function save() {
  const name = fileName();
  const url = URL.createObjectURL(new Blob([correctionsFile()], { type: "application/json" }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
  const code = $("pending").querySelector("code");
  code.textContent = code.textContent.replace(/corrections[-\w]*\.json/, name);
  $("status").textContent = `${name} saved; now run the command below`;
}

function listen() {
  document.addEventListener("click", (event) => {
    const pressed = event.target.closest(".tile");
    if (pressed) toggle(Number(pressed.dataset.row));
  });
  document.addEventListener("change", (event) => {
    const { merge, rename: renamed } = event.target.dataset;
    if (merge !== undefined) showSelection();
    if (renamed !== undefined) rename(Number(renamed), event.target.value);
  });
  $("move-to").addEventListener("change", () => {
    if ($("move-to").value !== "") moveSelected($("move-to").value);
    $("move-to").value = "";
  });
  $("pin").addEventListener("click", () => pinRows([...state.selected]));
  const buttons = { must: () => link("must_link"), cannot: () => link("cannot_link"), merge: mergeMarked, clear: clearSelection, undo, save };
  for (const [id, act] of Object.entries(buttons)) $(id).addEventListener("click", act);
  $("forget").addEventListener("click", () => change((made) => Object.assign(made, nothing())));
  $("toggle").addEventListener("click", () => {
    $("pending").hidden = !$("pending").hidden;
    $("toggle").setAttribute("aria-expanded", String(!$("pending").hidden));
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select")) return;
    if (event.key === "Escape") clearSelection();
    if (event.key === "z" && (event.ctrlKey || event.metaKey)) undo();
  });
}
