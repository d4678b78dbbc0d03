"use strict";
// A click on a header sorts its table: numbers as numbers, other text in natural order, missing numbers last.
const natural = new Intl.Collator("en", { numeric: true });

function compare(first, second, numeric, sign) {
  if (!numeric) return sign * natural.compare(first.textContent, second.textContent);
  const [a, b] = [first, second].map((cell) => ("value" in cell.dataset ? Number(cell.dataset.value) : null));
  if (a === null || b === null) return (a === null) - (b === null);
  return sign * (a - b);
}

for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const header = button.parentElement;
    const body = header.closest("table").tBodies[0];
    const column = header.cellIndex;
    const rising = header.getAttribute("aria-sort") !== "ascending";
    for (const other of header.parentElement.cells) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const rows = [...body.rows];
    const numeric = rows.some((row) => "value" in row.cells[column].dataset);
    rows.sort((a, b) => compare(a.cells[column], b.cells[column], numeric, rising ? 1 : -1));
    body.append(...rows);
  });
}

const filter = document.getElementById("runs-filter");
filter.addEventListener("input", () => {
  const words = filter.value.toLowerCase().split(/\s+/);
  const rows = [...document.querySelector(".filtered tbody").rows];
  let shown = 0;
  for (const row of rows) {
    const text = [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
    shown += !row.hidden;
  }
  document.getElementById("runs-shown").value = `${shown} of ${rows.length}`;
});
