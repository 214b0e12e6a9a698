// The charts, by Chart.js, one after the other while the browser is idle. Colours are those of the style sheet. Without this script the tables
// below the charts have the same values.
"use strict";

const drawings = new Map(); // canvas -> chart
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// A scale that is linear up to ten on both sides of zero and logarithmic beyond.
const aroundZero = (value) => {
  const size = Math.abs(value);
  return Math.sign(value) * (size <= 10 ? (0.55 * size) / 10 : 0.55 + Math.log10(size / 10));
};

function inWords(value) {
  const units = [[1e9, "G"], [1e6, "M"], [1e4, "k"]];
  const [size, unit] = units.find(([least]) => Math.abs(value) >= least) || [1, ""];
  return `${+(value / (unit === "k" ? 1e3 : size)).toPrecision(4)}${unit && `\u202f${unit}`}`.replace("-", "\u2212");
}

/** Return the name of a bar so that it leaves room for the bar; the table below the chart has the whole of it. */
function inShort(place) {
  const letters = [...this.getLabelForValue(place)];
  return letters.length > 24 ? `${letters.slice(0, 23).join("")}\u2026` : letters.join("");
}

/** Return an axis for Chart.js. */
function axisOf(axis = {}, { grid = true } = {}) {
  const common = {
    title: { display: Boolean(axis.title), text: axis.title, color: colour("muted") },
    grid: { display: grid, color: colour("rule") },
    border: { color: colour("rule") },
    ticks: { color: colour("muted"), maxRotation: 0, autoSkipPadding: 12 },
  };
  if (axis.scale === "around_zero") {
    const places = [0, 1, 2, 3, 4, 5, 6, 8, 10].flatMap((power) => (power ? [10 ** power, -(10 ** power)] : [0]));
    return {
      ...common,
      type: "linear",
      afterBuildTicks: (scale) => {
        const inside = places.filter((place) => aroundZero(place) >= scale.min && aroundZero(place) <= scale.max);
        scale.ticks = inside.sort((a, b) => a - b).map((place) => ({ value: aroundZero(place), place }));
      },
      ticks: { ...common.ticks, callback: (value, at, ticks) => inWords(ticks[at].place) },
    };
  }
  if (axis.scale === "logarithmic") {
    const isRound = (value) => /^[125]e/.test(Number(value).toExponential());
    return {
      ...common,
      type: "logarithmic",
      ticks: { ...common.ticks, callback: (value) => (isRound(value) ? inWords(value) : null) },
    };
  }
  const whole = { precision: 0, includeBounds: false, callback: (value) => inWords(value) };
  return { ...common, min: axis.min, max: axis.max, beginAtZero: true, ticks: { ...common.ticks, ...whole } };
}

const legend = (display) => ({
  display,
  position: "bottom",
  align: "start",
  labels: { color: colour("muted"), boxWidth: 12, boxHeight: 12 },
});

/** A line across the chart at one value of x. */
const markAt = (value) => ({
  id: "mark",
  afterDatasetsDraw(chart) {
    const { ctx, chartArea, scales } = chart;
    const x = scales.x.getPixelForValue(value);
    if (x < chartArea.left || x > chartArea.right) return;
    Object.assign(ctx, { strokeStyle: colour("muted"), lineWidth: 1 });
    ctx.setLineDash([3, 3]);
    ctx.beginPath();
    ctx.moveTo(x, chartArea.top);
    ctx.lineTo(x, chartArea.bottom);
    ctx.stroke();
    ctx.setLineDash([]);
  },
});

const KINDS = {
  bars({ labels, series, x, y, upright }) {
    const value = axisOf(x);
    const name = axisOf(y, { grid: false });
    name.ticks.callback = inShort;
    name.ticks.autoSkip = Boolean(upright);
    const isStacked = series.length > 1;
    for (const axis of [value, name]) axis.stacked = isStacked;
    return {
      type: "bar",
      data: {
        labels,
        datasets: series.map((each) => ({
          label: each.name,
          data: each.values,
          backgroundColor: colour(each.colour),
          maxBarThickness: 22,
        })),
      },
      options: {
        indexAxis: upright ? "x" : "y",
        scales: upright ? { x: { ...name, title: axisOf(y).title }, y: value } : { x: value, y: name },
        plugins: { legend: legend(isStacked) },
      },
    };
  },

  spans({ labels, series, x }) {
    const place = x.scale === "around_zero" ? aroundZero : (value) => value;
    const name = axisOf({}, { grid: false });
    name.ticks.callback = inShort;
    name.ticks.autoSkip = false;
    return {
      type: "bar",
      data: {
        labels,
        datasets: series
          .map((each, at) => ({
            label: each.name,
            data: each.values.map((ends) => ends.map(place)),
            ends: each.values,
            backgroundColor: colour(each.colour),
            barThickness: at ? 8 : 14,
            minBarLength: 4,
            clip: false, // the least length of a bar at the end of the axis
            grouped: false,
          }))
          .reverse(),
      },
      options: {
        indexAxis: "y",
        layout: { padding: { right: 5 } }, // room for the least length
        scales: { x: axisOf(x), y: name },
        plugins: {
          legend: { ...legend(true), reverse: true },
          tooltip: {
            callbacks: {
              label: ({ dataset, dataIndex }) => `${dataset.label}: ${dataset.ends[dataIndex].map(inWords).join(" to ")}`,
            },
          },
        },
      },
      plugins: x.mark ? [markAt(x.mark)] : [],
    };
  },

  discs({ points, line, x, y }) {
    const most = Math.max(...points.map(([, , number]) => number));
    const datasets = [
      {
        label: "arrays",
        data: points.map(([px, py, number]) => ({ x: px, y: py, number, r: 3.5 + 13 * Math.sqrt(number / most) })),
        backgroundColor: `${colour("accent")}99`,
        borderColor: colour("accent"),
        clip: false, // discs on an axis are whole
      },
    ];
    if (line)
      datasets.push({
        type: "line",
        data: line.map((end) => ({ x: end, y: end })),
        borderColor: colour("muted"),
        borderDash: [3, 3],
        borderWidth: 1,
        pointRadius: 0,
        pointHitRadius: 0,
      });
    return {
      type: "bubble",
      data: { datasets },
      options: {
        scales: { x: axisOf(x), y: axisOf(y) },
        plugins: {
          legend: { display: false },
          tooltip: {
            callbacks: {
              label: ({ raw }) => `${inWords(raw.x)} and ${inWords(raw.y)}: ${raw.number} ${raw.number === 1 ? "array" : "arrays"}`,
            },
          },
        },
      },
    };
  },
};

/** Return the height of a chart in a plot of some width, with each further line of its legend. */
function heightOf(drawing, width) {
  if (drawing.kind === "discs" || drawing.upright) return 280;
  const legend = drawing.series.reduce((sum, { name }) => sum + 30 + 7.5 * name.length, 0);
  return 84 + 26 * drawing.labels.length + 22 * (Math.ceil(legend / width) - 1);
}

function drawChart(canvas) {
  const drawing = DATA.charts[canvas.closest("figure").id];
  const config = KINDS[drawing.kind](drawing);
  drawings.get(canvas)?.destroy();
  Object.assign(config.options, { animation: false, maintainAspectRatio: false });
  drawings.set(canvas, new Chart(canvas, config));
}

if (typeof Chart !== "undefined") {
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  Chart.defaults.font.size = 13;
  const canvases = [...document.querySelectorAll(".plot canvas")];
  for (const canvas of canvases) {
    const plot = canvas.parentElement;
    plot.hidden = false;
    plot.style.height = `${heightOf(DATA.charts[canvas.closest("figure").id], plot.clientWidth)}px`;
  }
  const waiting = [...canvases];
  const later = window.requestIdleCallback || ((task) => setTimeout(task, 1));
  const drawNext = () => {
    const canvas = waiting.shift();
    if (!canvas) return;
    drawChart(canvas);
    later(drawNext, { timeout: 500 });
  };
  later(drawNext, { timeout: 500 });
  const redraw = () => drawings.forEach((_, canvas) => drawChart(canvas));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("beforeprint", () => {
    document.documentElement.classList.add("on-paper");
    canvases.forEach(drawChart);
  });
  addEventListener("afterprint", () => {
    document.documentElement.classList.remove("on-paper");
    redraw();
  });
}
