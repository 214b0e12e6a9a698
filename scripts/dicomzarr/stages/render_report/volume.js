// The view of one volume: planes, histogram, facts. It opens by the fragment of the address, so that it can be linked,
// and closes with Escape, its button, or one step back. Arrows lead to the neighbours in the list that is shown.
"use strict";

const viewer = document.getElementById("viewer");
const SVG = "http://www.w3.org/2000/svg";
let wasOpenedHere = false; // by a click in the page: closing then goes one step back
let closedByAddress = false; // the address has changed already: nothing is left to do when "close" arrives, which is later

const volumeInAddress = () => BY_ID.get(location.hash.slice(1).replace(/%2f/i, "/"));

function draw(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Return the planes of a volume, each cut out of its picture. */
function planesOf(volume) {
  const source = DATA.large[volume.array] || `${DATA.folder}/${volume.array}.jpg`;
  const { planes, boxes } = volume;
  const figures = boxes.map((box, place) => {
    const [x, y, width, height] = box.split(",").map(Number);
    const words = [planes[place], volume.at].filter(Boolean).join(", ");
    const image = draw("image", { href: source });
    const picture = draw(
      "svg",
      { viewBox: `${x} ${y} ${width} ${height}`, role: "img", "aria-label": `${describe(volume)}, ${words || "the plane"}` },
      image,
    );
    const figure = make("figure", {}, picture, make("figcaption", {}, words));
    figure.style.setProperty("--wide", width);
    return figure;
  });
  if (!figures.length) figures.push(make("figure", {}, make("img", { src: source, alt: describe(volume) })));
  return make("div", { className: "planes" }, ...figures);
}

function histogramOf(volume) {
  const levels = [...volume.histogram].map((letter) => DATA.levels.indexOf(letter) / (DATA.levels.length - 1));
  const bars = levels.map((level, place) =>
    draw("rect", { x: place * 10, width: 9, y: (100 - 100 * level).toFixed(1), height: (100 * level).toFixed(1) }),
  );
  const label = `Histogram of the stored values from ${volume.low} to ${volume.high}`;
  return make(
    "figure",
    { className: "histogram" },
    draw("svg", { viewBox: "0 0 479 100", preserveAspectRatio: "none", role: "img", "aria-label": label }, ...bars),
    make("p", { className: "ends" }, make("span", {}, volume.low), make("span", {}, volume.high)),
    make("figcaption", {}, "Stored values of evenly chosen voxels. The height is the square root of the count."),
  );
}

function listOf(className, pairs) {
  const list = make("dl", { className });
  for (const [term, value] of pairs) {
    if (value === "" || value === null || value === undefined) continue;
    list.append(make("div", {}, make("dt", {}, term), make("dd", {}, ...[value].flat())));
  }
  return list;
}

/** Return the parts of a text; its words between backticks are code, as in Markdown. */
const coded = (text) => text.split("`").map((part, place) => (place % 2 ? make("code", {}, part) : part));

function copied(text) {
  const button = make("button", { type: "button", className: "copy", "aria-label": `Copy: ${text}` }, "Copy");
  button.dataset.copy = text;
  return make("span", { className: "command" }, make("code", {}, text), button);
}

function part(title, ...content) {
  return make("section", {}, make("h3", {}, title), ...content);
}

function outlinesOf(volume) {
  const keys = volume.outlines.map(([name, colour]) => {
    const key = draw("svg", { class: "key", viewBox: "0 0 10 10", "aria-hidden": "true" });
    key.append(draw("rect", { width: 10, height: 10, rx: 2.5, fill: colour }));
    return make("span", {}, key, name);
  });
  return make("p", { className: "legend" }, "Outlines: ", ...keys);
}

/** Fill the view with a volume. */
function show(volume) {
  const place = SHOWN.indexOf(volume);
  const title = viewer.querySelector("h2");
  title.replaceChildren(`${volume.modality} ${volume.kind.replaceAll("_", " ")} `, verdictOf(volume.verdict));
  viewer.querySelector(".place").textContent = place < 0 ? "" : `${grouped(place + 1)} of ${grouped(SHOWN.length)}`;
  viewer.querySelector(".previous").disabled = place <= 0;
  viewer.querySelector(".next").disabled = place < 0 || place === SHOWN.length - 1;

  const body = viewer.querySelector(".body");
  body.replaceChildren(make("p", {}, copied(volume.array)));
  if (volume.picture) body.append(planesOf(volume));
  else if (volume.trouble) body.append(make("p", { className: "nothing" }, `No picture: ${volume.trouble}.`));
  if (volume.outlines.length) body.append(outlinesOf(volume));

  const values = volume.low === "" ? "" : volume.low === volume.high ? volume.low : `${volume.low} to ${volume.high}`;
  const facts = listOf("facts", [
    ["Shape", `${volume.shape} (${volume.axes})`],
    ["Spacing, mm", volume.spacing],
    ["Type", volume.dtype],
    ["Bits", volume.bits === null ? "" : `${volume.bits} stored${volume.used === null ? "" : `, ${volume.used} used`}`],
    ["Stored values", values],
    ["Shown as", volume.shown],
    ["Photometric interpretation", volume.photometric],
    ["Frames", grouped(volume.frames)],
    ["Missing slices", volume.gaps ? grouped(volume.gaps) : ""],
    ["Bytes", `${volume.stored}, of ${volume.source} in the source`],
    ["Read back", volume.read_back],
    ["Split", volume.split],
    ...DATA.labels.map((name, at) => [name, volume.labels[at]]),
  ]);
  body.append(part("Facts", facts));
  if (volume.histogram) body.append(part("Values", histogramOf(volume)));
  if (volume.why) body.append(part("Why these frames are one array", make("p", {}, sentence(volume.why))));
  if (volume.flags.length)
    body.append(part("Flags", listOf("flagged", volume.flags.map((flag) => [flag, coded(DATA.flags[flag] || "unknown flag")]))));
  if (volume.masks.length) {
    const items = volume.masks.map(([name, size, verdict]) => {
      const words = make("li", {}, make("code", {}, name), size && ` ${size}`);
      if (verdict !== "pass") words.append(" ", verdictOf(verdict));
      return words;
    });
    body.append(part("Masks", make("ul", {}, ...items)));
  }
  const commands = [`./run view ${volume.array}`, `./run files --array ${volume.array}`];
  const words = ["Open it in a viewer", "List its source files, on site"];
  const lines = commands.map((command, at) => make("p", {}, `${words[at]}: `, copied(command)));
  const note = make("p", { class: "about" }, "With the --configfile of the run, if it had one.");
  body.append(part("Look closer", ...lines, note));
  viewer.scrollTop = 0;
}

/** Make a sentence of `why` in volumes.csv, such as "2 frames at one position, distinguished by echo_time_ms x b_value". */
function sentence(text) {
  const words = text
    .replace("b_vector_x x b_vector_y x b_vector_z", "b_vector")
    .replace(/_(m?s)(?![a-z_])/g, " ($1)")
    .replaceAll(" x ", " and ")
    .replaceAll("_", " ");
  return `${words[0].toUpperCase()}${words.slice(1)}.`;
}

/** Open, change or close the view as the address says. */
function follow() {
  const volume = volumeInAddress();
  if (!volume) {
    if (viewer.open) {
      closedByAddress = true;
      viewer.close();
    }
    return;
  }
  show(volume);
  if (!viewer.open) {
    viewer.showModal();
    viewer.querySelector("h2").focus();
  }
}

function step(by) {
  const next = SHOWN[SHOWN.indexOf(volumeInAddress()) + by];
  if (!next || !SHOWN.includes(volumeInAddress())) return;
  history.replaceState(null, "", `#${next.array}`);
  show(next);
}

if (viewer) {
  let opener = null;
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href^='#']");
    if (link && BY_ID.has(link.getAttribute("href").slice(1))) {
      wasOpenedHere = true;
      opener = link;
    }
  });
  addEventListener("hashchange", follow);
  viewer.addEventListener("close", () => {
    if (volumeInAddress() && !closedByAddress) {
      if (wasOpenedHere) history.back();
      else history.replaceState(null, "", "#");
    }
    closedByAddress = false;
    wasOpenedHere = false;
    if (opener?.isConnected) opener.focus({ preventScroll: true });
    opener = null;
  });
  viewer.querySelector(".close").addEventListener("click", () => viewer.close());
  viewer.querySelector(".previous").addEventListener("click", () => step(-1));
  viewer.querySelector(".next").addEventListener("click", () => step(1));
  viewer.addEventListener("click", (event) => event.target === viewer && viewer.close()); // outside of its content
  viewer.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      event.preventDefault();
      step(event.key === "ArrowLeft" ? -1 : 1);
    } else if (event.key === "Tab") {
      const stops = [...viewer.querySelectorAll("button:not([disabled]), a[href]")];
      const [from, to] = event.shiftKey ? [stops[0], stops.at(-1)] : [stops.at(-1), stops[0]];
      if (document.activeElement === from || (event.shiftKey && !stops.includes(document.activeElement))) {
        event.preventDefault();
        to.focus();
      }
    }
  });
  follow();
}
