// Tables sort by their headings and filter by a word.
function valueOf(row, column) {
  const cell = row.cells[column];
  if ("v" in cell.dataset) return cell.dataset.v === "" ? NaN : Number(cell.dataset.v);
  return cell.textContent.trim().toLowerCase();
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") {
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
    return a - b;
  }
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

function sortBy(table, heading) {
  const column = heading.cellIndex;
  const order = heading.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
  for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", order);
  const body = table.tBodies[0];
  const sign = order === "ascending" ? 1 : -1;
  const rows = [...body.rows].map((row) => [valueOf(row, column), row]);
  rows.sort(([a], [b]) => sign * compare(a, b));
  body.append(...rows.map(([, row]) => row));
}

function enhance(box) {
  const table = box.querySelector("table");
  for (const heading of table.tHead.rows[0].cells) {
    const button = make("button", { type: "button", onclick: () => sortBy(table, heading) });
    button.append(...heading.childNodes);
    heading.replaceChildren(button);
  }
  const filter = box.querySelector("[data-filter]");
  if (!filter) return;
  const count = box.querySelector("[data-count]");
  filter.addEventListener("input", () => {
    const word = filter.value.trim().toLowerCase();
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      row.hidden = !row.textContent.toLowerCase().includes(word);
      shown += !row.hidden;
    }
    count.textContent = word ? `${shown} of ${table.tBodies[0].rows.length}` : "";
  });
}

function copying(button) {
  const code = button.parentElement.querySelector("code");
  button.addEventListener("click", async () => {
    const range = document.createRange();
    range.selectNodeContents(code);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Selected"; // a page of a file may not write to the clipboard
    }
    setTimeout(() => (button.textContent = "Copy"), 1600);
  });
}
