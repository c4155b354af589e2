// Pairs of images: drawn when they come near, answered by "same" or "not same".
const rowsOf = (card) => card.dataset.pair.split(",").map(Number);
const samePair = (a, b) => (pair) => (pair[0] === a && pair[1] === b) || (pair[0] === b && pair[1] === a);

// A second press of the same button takes the answer back; of the other one, turns it.
function answer(card, kind) {
  const [a, b] = rowsOf(card).map((row) => R.id[row]);
  const is = samePair(a, b);
  change((made) => {
    const taken = made[kind].some(is);
    for (const each of ["must_link", "cannot_link"]) made[each] = made[each].filter((pair) => !is(pair));
    if (!taken) made[kind].push([a, b]);
  });
}

function showAnswers() {
  for (const card of all(".pair")) {
    const is = samePair(...rowsOf(card).map((row) => R.id[row]));
    for (const button of all("[data-answer]", card)) button.setAttribute("aria-pressed", String(state.made[button.dataset.answer].some(is)));
  }
}

function pairs() {
  for (const image of all("img.drawn")) onceNear(image, () => (image.src = sheetUrl(image.dataset.picture)));
  for (const card of all(".pair")) {
    const names = rowsOf(card).map(called).join(" and ");
    for (const button of all("[data-answer]", card)) {
      button.setAttribute("aria-label", `${button.textContent}: ${names}`);
      button.addEventListener("click", () => answer(card, button.dataset.answer));
    }
  }
}
