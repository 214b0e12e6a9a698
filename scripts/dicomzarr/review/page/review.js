// Decisions about images: by buttons, by keys, for several at once. Each is sent at once, one request after another.
"use strict";
const element = (id) => document.getElementById(id);
const grid = element("grid");
const cards = [...grid.children];
const byContent = new Map(cards.map((card) => [card.dataset.content, card]));
const IN_WORDS = { "": "undecided", keep: "keep", set_aside: "set aside" };
const MOST = 5000; // decisions in a request
const box = (card) => card.querySelector("input");
const picture = (card) => card.querySelector(".picture");
const visible = () => cards.filter((card) => !card.hidden);
const selected = () => cards.filter((card) => !card.hidden && box(card).checked);

// ---- What is shown

function count() {
  const waiting = cards.filter((card) => !card.dataset.decision).length;
  element("left").textContent = `${waiting} of ${cards.length} undecided`;
  const chosen = selected().length;
  element("several").hidden = !chosen;
  element("selected").textContent = `${chosen} selected:`;
}

function filter() { // an image that has just been decided stays until the filter changes, so that it can be undone
  const modality = element("modality").value;
  for (const card of cards) {
    card.hidden =
      (modality !== "*" && card.dataset.modality !== modality) ||
      (element("undecided").checked && card.dataset.decision !== "");
    if (card.hidden) box(card).checked = false; // what is not seen is not decided about
  }
  const shown = visible().length;
  element("shown").textContent = shown === cards.length ? "" : `${shown} shown`;
  element("nothing").hidden = shown > 0;
  count();
}

function show(card, decision, wanted = decision) {
  card.dataset.decision = decision;
  card.querySelector(".state").textContent = IN_WORDS[decision] + (decision === wanted ? "" : " by somebody else");
  for (const button of card.querySelectorAll("[aria-pressed]"))
    button.setAttribute("aria-pressed", String(button.dataset.decide === decision));
}

// ---- Decisions

async function send(contents, decision) {
  const seen = Object.fromEntries(contents.map((content) => [content, byContent.get(content).dataset.decision]));
  let problem = "The server has ended, nothing was saved: start ./run review again.";
  try {
    const answer = await fetch("decisions", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ decisions: Object.fromEntries(contents.map((content) => [content, decision])), seen }),
    });
    problem = `Not saved: the server answered ${answer.status}.`;
    const content = await answer.json();
    if (answer.ok) {
      for (const [each, decided] of Object.entries(content.decisions)) show(byContent.get(each), decided, decision);
      const others = contents.filter((each) => content.decisions[each] !== decision).length;
      const were = others === 1 ? "1 image was" : `${others} images were`;
      problem = others && `${were} decided by somebody else meanwhile, and that holds. Decide again to change it.`;
    } else {
      problem = `Not saved: ${content.problem}`;
    }
  } catch {
    // the problem is named above
  }
  element("problem").textContent = problem || "";
  count();
}

let last = Promise.resolve();
function decide(chosen, decision) {
  const contents = chosen.map((card) => card.dataset.content);
  for (let at = 0; at < contents.length; at += MOST) {
    const part = contents.slice(at, at + MOST);
    last = last.then(() => send(part, decision));
  }
}

function decideSeveral(decision) {
  const chosen = selected();
  decide(chosen, decision);
  for (const card of chosen) box(card).checked = false;
  count();
}

// ---- Keys: only where the focus is in the grid

function columns(shown) {
  const top = shown[0].offsetTop;
  const second = shown.findIndex((card) => card.offsetTop !== top);
  return second < 0 ? shown.length : second;
}

function move(from, key) {
  const shown = visible();
  const at = shown.indexOf(from);
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(shown), ArrowDown: columns(shown) };
  const target = { Home: 0, End: shown.length - 1 }[key] ?? at + steps[key];
  if (target >= 0 && target < shown.length) picture(shown[target]).focus();
}

grid.addEventListener("keydown", (event) => {
  const card = event.target.closest("#grid > li");
  if (!card || event.ctrlKey || event.metaKey || event.altKey) return;
  const decision = { k: "keep", s: "set_aside", u: "" }[event.key.toLowerCase()];
  if (/^(Arrow(Left|Right|Up|Down)|Home|End)$/.test(event.key)) {
    move(card, event.key);
  } else if (decision !== undefined && !event.repeat) {
    if (selected().length) {
      decideSeveral(decision);
    } else {
      decide([card], decision);
      if (decision) move(card, "ArrowRight");
    }
  } else if (event.key.toLowerCase() === "x") {
    box(card).checked = !box(card).checked;
    count();
  } else {
    return;
  }
  event.preventDefault();
});

// ---- Mouse, and buttons by any means

grid.addEventListener("click", (event) => {
  const card = event.target.closest("#grid > li");
  const button = event.target.closest("button");
  if (!card || !button) return;
  if (button.classList.contains("picture")) {
    button.setAttribute("aria-expanded", String(card.classList.toggle("large")));
    card.scrollIntoView({ block: "nearest" });
  } else {
    decide([card], button.dataset.decide);
  }
});
grid.addEventListener("change", count);
element("several").addEventListener("click", (event) => {
  const button = event.target.closest("[data-several]");
  if (button) {
    decideSeveral(button.dataset.several);
    element("all").focus(); // the group is hidden now
  }
});
element("all").addEventListener("click", () => {
  for (const card of visible()) box(card).checked = true;
  count();
});
element("none").addEventListener("click", () => {
  for (const card of cards) box(card).checked = false;
  count();
  element("all").focus();
});
for (const id of ["modality", "undecided"]) {
  element(id).addEventListener("change", () => {
    filter();
    last.then(filter); // again once the server has answered what was decided before
  });
}
filter(); // the browser may have kept what was chosen
