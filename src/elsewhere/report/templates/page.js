"use strict";
// Sorting only: without this script every table is complete and already has its worst rows first.
{
  const collator = new Intl.Collator("en", { numeric: true });

  const number = (text) => {
    const plain = text.replace(/[\s<]/g, "").replace(/\u2212/g, "-").replace(/^\[/, "");
    return plain.startsWith("\u221e") ? Infinity
      : plain.startsWith("-\u221e") ? -Infinity : Number.parseFloat(plain);
  };

  const comparison = (column, isNumber, sign) => (a, b) => {
    const [first, second] = [a, b].map((row) => row.cells[column].textContent);
    if (!isNumber) return sign * collator.compare(first, second);
    const [x, y] = [number(first), number(second)];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    return x === y ? 0 : sign * (x < y ? -1 : 1);
  };

  const sort = (table, head) => {
    const descending = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const isNumber = head.classList.contains("n");
    const body = table.tBodies[0];
    const rows = [...body.rows];
    rows.sort(comparison(head.cellIndex, isNumber, descending ? -1 : 1));
    body.append(...rows);
  };

  for (const table of document.querySelectorAll("table")) {
    if (table.tBodies[0].rows.length < 2) continue;
    for (const head of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, head));
      head.append(button);
    }
  }
}
