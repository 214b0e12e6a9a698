// The search of the list: rows that hold every word are shown.
"use strict";
const search = document.getElementById("search");
const shown = document.getElementById("shown");
const rows = [...document.querySelectorAll("tbody tr")].map((row) => [row, row.textContent.toLowerCase()]);

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const [row, text] of rows) {
    row.hidden = !words.every((word) => text.includes(word));
    count += row.hidden ? 0 : 1;
  }
  shown.textContent = words.length ? `${count} shown` : "";
}

search.addEventListener("input", filter);
filter(); // the browser may have kept what was typed
