// The search of the list while somebody types: the server finds the images, and the list is replaced.
"use strict";
const search = document.getElementById("search");
let asked = 0;

async function look() {
  const number = ++asked;
  try {
    const answer = await fetch(`?${new URLSearchParams({ words: search.value })}`);
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (number !== asked) return; // more was typed
    document.getElementById("shown").textContent = page.getElementById("shown").textContent;
    document.getElementById("list").replaceWith(page.getElementById("list"));
  } catch {
    document.getElementById("shown").textContent = "no answer: has ./run view ended?";
  }
}

search.addEventListener("input", look);
search.form.addEventListener("submit", (event) => {
  event.preventDefault();
  look();
});
if (search.value !== search.defaultValue) look(); // the browser has kept what was typed
