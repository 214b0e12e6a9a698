// Letters at the edges of the panels: the side of the patient that lies there (PS3.3 C.7.6.1.1.1). For images whose
// coordinates are LPS, by the direction in which each panel is cut; in the panel in three dimensions there are none.
"use strict";
const SIDES = [["R", "L"], ["A", "P"], ["F", "H"]]; // where x, y and z are small, and where they are large
const OBLIQUE = 0.25; // sine of about 15 degrees: a smaller part of a direction has no letter
const EDGES = { right: [0, 1], left: [0, -1], bottom: [1, 1], top: [1, -1] }; // column of the view's matrix, and sign
const known = new Map(); // by address of a state: whether coordinates are LPS; absent while it is being asked for
const drawn = new WeakMap(); // by panel: its four elements

function letters(direction) {
  const parts = direction.map((part) => Math.abs(part) / Math.hypot(...direction));
  return [0, 1, 2]
    .filter((axis) => parts[axis] > OBLIQUE)
    .sort((a, b) => parts[b] - parts[a])
    .map((axis) => SIDES[axis][direction[axis] > 0 ? 1 : 0])
    .join("");
}

function address() { // of the state of the image that is shown
  const url = viewer.layerManager.managedLayers[0]?.layer?.dataSources?.[0]?.spec?.url ?? "";
  const array = /\/(?:images\.zarr|converted)\/([0-9a-f]+\/[0-9a-f]+)\/$/.exec(url)?.[1];
  return array ? new URL(`../../state/${array}.json`, location.href.split("#")[0]).href : "";
}

async function ask(url) {
  known.set(url, false);
  try {
    known.set(url, (await (await fetch(url)).json()).coordinates === "LPS");
  } catch {
    known.delete(url); // the server has ended: no letters
    return;
  }
  draw();
}

function elements(panel) {
  if (!drawn.has(panel)) {
    drawn.set(panel, Object.fromEntries(Object.keys(EDGES).map((edge) => {
      const element = document.createElement("span");
      element.className = `dicomzarr-side ${edge}`;
      return [edge, element];
    })));
  }
  return drawn.get(panel);
}

function draw() {
  const url = address();
  if (url && !known.has(url)) ask(url);
  for (const panel of viewer.display.panels) {
    const matrix = panel.sliceView?.projectionParameters?.value?.invViewMatrix;
    if (!matrix) continue;
    for (const [edge, element] of Object.entries(elements(panel))) {
      const [column, sign] = EDGES[edge];
      const text = known.get(url) ? letters([0, 1, 2].map((row) => sign * matrix[4 * column + row])) : "";
      if (element.textContent !== text) element.textContent = text;
      if (element.parentElement !== panel.element) panel.element.append(element);
    }
  }
}

function begin() {
  if (!globalThis.viewer?.display?.updateFinished) {
    setTimeout(begin, 100);
    return;
  }
  viewer.display.updateFinished.add(draw);
  draw();
}
begin();
