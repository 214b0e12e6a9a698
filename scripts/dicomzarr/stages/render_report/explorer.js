// The volumes: their data, the filters, and the two lists (pictures, table). See volume.js and charts.js.
"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);
const MOST_AT_ONCE = 60; // lines or pictures added at a time
const UNKNOWN = "\u2013";
const VERDICTS = { pass: "pass", warn: "warning", fail: "failed" };

/** Return one object for each array, from the columns of the data. */
function volumesOf(columns) {
  const volumes = columns.array.map(() => ({}));
  for (const [name, column] of Object.entries(columns)) {
    const { words, at } = column;
    for (let i = 0; i < volumes.length; i++) volumes[i][name] = words ? words[at[i]] : column[i];
  }
  return volumes;
}

const VOLUMES = volumesOf(DATA.columns);
VOLUMES.forEach((volume, place) => (volume.place = place));
const BY_ID = new Map(VOLUMES.map((volume) => [volume.array, volume]));
const INSIDE = new Map(); // small pictures that the page holds
for (const image of document.querySelectorAll("img[data-array]")) INSIDE.set(image.dataset.array, image.src);

/** Return an element with properties and children; texts stay texts. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const shortened = (id) => (id.indexOf("/") > 8 ? `${id.slice(0, 8)}\u2026/${id.split("/")[1]}` : id);
const grouped = (number) => (number >= 10000 ? String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f") : String(number));
const verdictOf = (name) => make("span", { className: `verdict ${name}` }, VERDICTS[name]);
const codes = (words) => words.flatMap((word) => [make("code", {}, word), " "]);
const smallPicture = (volume) => INSIDE.get(volume.array) || `${DATA.folder}/${volume.array}.thumb.jpg`;
const describe = (volume) => `${volume.modality}, ${volume.axes} ${volume.shape}`;

// ---- Filters

const LABELS = DATA.labels.map((name, place) => ({
  key: `label ${name}`,
  name,
  none: `no ${name}`,
  of: (volume) => [volume.labels[place]],
}));
const FILTERS = [
  {
    key: "verdict",
    name: "Verdict",
    of: (volume) => [volume.verdict, ...volume.checks], // such as "warn", "warn missing slices"
    word: (value) => value.replace(/^(\w+)( ?)/, (_, level, space) => VERDICTS[level] + (space && ": ")),
  },
  { key: "modality", name: "Modality", of: (volume) => [volume.modality] },
  { key: "split", name: "Split", none: "no split", of: (volume) => [volume.split] },
  { key: "flag", name: "Flag", none: "no flag", of: (volume) => (volume.flags.length ? volume.flags : [""]) },
  {
    key: "mask",
    name: "Mask",
    none: "no mask",
    of: (volume) => (volume.masks.length ? [...new Set(volume.masks.map((mask) => mask[0]))] : [""]),
  },
  ...LABELS,
];
const SORTS = {
  verdict: (volume) => ["fail", "warn", "pass"].indexOf(volume.verdict),
  shape: (volume) => volume.shape.split("\u00d7").reduce((size, length) => size * Number(length), 1),
  bits: (volume) => volume.bits ?? -1,
  spacing: (volume) => parseFloat(volume.spacing) || -1,
  stored: (volume) => volume.megabytes,
  flags: (volume) => -volume.flags.length,
};

const form = document.querySelector(".filters");
const status = document.querySelector(".shown");
const table = document.getElementById("table");
const sheet = document.getElementById("sheet");
const chosen = new Map(); // key of a filter -> its wanted value
let sorting = { key: "", falling: false };
let SHOWN = VOLUMES; // the volumes that pass the filters, in order

const textOf = (volume) =>
  (volume.text ??= [
    volume.array,
    describe(volume),
    volume.dtype,
    volume.photometric,
    VERDICTS[volume.verdict],
    volume.kind,
    volume.why,
    volume.split,
    ...volume.flags,
    ...volume.labels,
    ...volume.masks.map((mask) => mask[0]),
  ]
    .join(" ")
    .toLowerCase());

/** Return the volumes that pass the filters and hold every word of the search, in the order of the table. */
function matching() {
  const patterns = form.text.value.toLowerCase().split(/\s+/).filter(Boolean).map(patternOf);
  const wanted = FILTERS.filter((filter) => chosen.has(filter.key));
  const found = VOLUMES.filter(
    (volume) =>
      wanted.every((filter) => filter.of(volume).includes(chosen.get(filter.key))) &&
      patterns.every((pattern) => pattern.test(textOf(volume))),
  );
  if (!sorting.key) return found;
  const value = SORTS[sorting.key] || ((volume) => volume[sorting.key]);
  const sign = sorting.falling ? -1 : 1;
  return found
    .map((volume) => ({ volume, key: value(volume) }))
    .sort((a, b) => (a.key < b.key ? -sign : a.key > b.key ? sign : a.volume.place - b.volume.place))
    .map(({ volume }) => volume);
}

/** Return a pattern for a word, in which x also stands for the sign between the sizes of a shape. */
const patternOf = (word) => new RegExp(word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replaceAll("x", "[x\u00d7]"));

// ---- The two lists

/** A list that shows its first items, and more of them as it is scrolled. */
class Growing {
  constructor(box, list, itemOf) {
    Object.assign(this, { box, list, itemOf, items: [], count: 0 });
    this.button = box.querySelector(".more");
    this.unprinted = box.querySelector(".unprinted");
    this.button.addEventListener("click", () => {
      const before = this.count;
      this.grow();
      this.list.children[before]?.querySelector("a")?.focus();
    });
    new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && this.grow(), {
      root: box,
      rootMargin: "300px",
    }).observe(this.button);
  }

  show(items) {
    this.items = items;
    this.count = 0;
    this.list.replaceChildren();
    this.box.scrollTop = 0;
    this.grow();
  }

  grow() {
    if (this.box.hidden) return;
    const next = this.items.slice(this.count, this.count + MOST_AT_ONCE);
    this.list.append(...next.map(this.itemOf));
    this.count += next.length;
    const rest = this.items.length - this.count;
    this.button.hidden = this.unprinted.hidden = rest <= 0;
    this.unprinted.textContent = `${grouped(rest)} more ${rest === 1 ? "is" : "are"} not on paper: volumes.csv lists all.`;
  }
}

function figureOf(volume) {
  const stage = volume.picture
    ? make("img", { loading: "lazy", decoding: "async", alt: describe(volume), src: smallPicture(volume) })
    : make("span", { className: "missing" }, volume.trouble || "no picture");
  const words = make("p", {}, make("strong", {}, volume.modality), ` ${volume.shape}`);
  if (volume.verdict !== "pass") words.append(" ", verdictOf(volume.verdict));
  const label = `${describe(volume)}, ${shortened(volume.array)}`;
  return make("li", {}, make("a", { href: `#${volume.array}`, "aria-label": label }, stage), words);
}

const CELLS = {
  array: (volume) => [make("a", { href: `#${volume.array}` }, shortened(volume.array))],
  verdict: (volume) => [verdictOf(volume.verdict)],
  frames: (volume) => [grouped(volume.frames)],
  flags: (volume) => codes(volume.flags),
};
const COLUMNS = table ? [...table.tHead.rows[0].cells] : [];

function rowOf(volume) {
  const cells = COLUMNS.map((head) => {
    const key = head.dataset.key;
    const content = CELLS[key]?.(volume) ?? [String(volume[key] ?? "") || UNKNOWN];
    const cell = make(key === "array" ? "th" : "td", { className: head.className }, ...content);
    if (key === "array") cell.scope = "row";
    return cell;
  });
  return make("tr", {}, ...cells);
}

const lists = [];
if (sheet) lists.push(new Growing(document.getElementById("sheet-box"), sheet, figureOf));
if (table) lists.push(new Growing(document.getElementById("table-box"), table.tBodies[0], rowOf));

/** Show what passes the filters, in the view that is chosen. */
function refresh() {
  SHOWN = matching();
  const view = form.view.value;
  for (const list of lists) {
    list.box.hidden = list.box.id !== `${view}-box`;
    if (!list.box.hidden) list.show(SHOWN);
  }
  const all = grouped(VOLUMES.length);
  status.textContent =
    SHOWN.length === VOLUMES.length
      ? `${all} ${VOLUMES.length === 1 ? "volume" : "volumes"}`
      : SHOWN.length
        ? `${grouped(SHOWN.length)} of ${all} volumes`
        : "No volume matches.";
}

/** Build the selections: one for each filter that distinguishes volumes, so that some have a value and others not. */
function buildFilters() {
  const place = form.querySelector(".selects");
  for (const filter of FILTERS) {
    const counts = new Map();
    for (const volume of VOLUMES) for (const value of filter.of(volume)) counts.set(value, (counts.get(value) || 0) + 1);
    if ([...counts.values()].every((count) => count === VOLUMES.length)) continue;
    const values = [...counts].sort((a, b) => (a[0] === "") - (b[0] === "") || (a[0] < b[0] ? -1 : 1));
    const select = make("select", { name: filter.key });
    select.append(make("option", { value: "*" }, "any"));
    for (const [value, count] of values) {
      const word = value === "" ? filter.none || "none" : filter.word?.(value) || value;
      select.append(make("option", { value: `=${value}` }, `${word} (${grouped(count)})`));
    }
    select.addEventListener("change", () => {
      if (select.value === "*") chosen.delete(filter.key);
      else chosen.set(filter.key, select.value.slice(1));
      refresh();
    });
    place.append(make("label", {}, filter.name, select));
  }
}

/** Make the headings of the table sort it. */
function buildSorting() {
  for (const head of COLUMNS) {
    const button = make("button", { type: "button" }, ...head.childNodes);
    button.addEventListener("click", () => {
      const isSame = sorting.key === head.dataset.key;
      sorting = { key: head.dataset.key, falling: isSame && !sorting.falling };
      for (const other of COLUMNS) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sorting.falling ? "descending" : "ascending");
      refresh();
    });
    head.replaceChildren(button);
  }
}

/** Show the volumes with one value of a filter, in the table. */
function select(key, value) {
  form.reset();
  chosen.clear();
  const field = form.elements[key];
  if (field) {
    field.value = `=${value}`;
    chosen.set(key, value);
  }
  form.view.value = "table";
  refresh();
}

if (table) {
  buildFilters();
  buildSorting();
  form.hidden = false;
  form.text.addEventListener("input", refresh);
  for (const radio of form.view) radio.addEventListener("change", refresh);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.querySelector(".all").addEventListener("click", () => {
    const view = form.view.value;
    form.reset();
    form.view.value = view;
    chosen.clear();
    refresh();
  });
  table.tBodies[0].addEventListener("click", (event) => {
    const link = event.target.closest("tr")?.querySelector("a");
    if (link && event.target.closest("a") === null && getSelection().isCollapsed) link.click();
  });
  for (const line of document.querySelectorAll(".filter")) line.hidden = false;
  for (const link of document.querySelectorAll("[data-key][data-value]"))
    link.addEventListener("click", () => select(link.dataset.key, link.dataset.value));
  refresh();
}

// ---- Commands to copy

async function copy(button) {
  const text = button.dataset.copy;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = make("textarea", { value: text, className: "unseen" });
    (button.closest("dialog") || document.body).append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
    button.focus();
  }
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), 1500);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.(".copy");
  if (button) copy(button);
});
for (const button of document.querySelectorAll(".copy")) button.hidden = false;
