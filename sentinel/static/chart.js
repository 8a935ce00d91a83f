// A chart over time: lines, candles and volume, with gaps, marks and levels. uPlot draws the axes and
// the lines; it, escape.js and the other scripts chart_*.js stand before this one in the same file.
//
// chart.py describes `data`. Times are seconds since 1970, and shown in the viewer's time zone.

const charts = new WeakMap();
const VOLUME_SHARE = 0.14; // of the chart's height
const NARROW_PX = 560;
const NARROW_HEIGHT_PX = 300;
const COLORS = ["ground", "ink", "muted", "line", "price", "second", "third", "fourth", "rise", "fall", "forecast", "backfilled", "volume", "gap", "band"];

export default function showChart({ data, parentElement }) {
  const shape = describeShape(data);
  let chart = charts.get(parentElement);
  if (chart && chart.shape !== shape) {
    destroyChart(chart);
    chart = undefined;
  }
  if (!chart) {
    chart = createChart(data, parentElement, shape);
    charts.set(parentElement, chart);
  } else {
    chart.data = data;
    chart.colors = readColors(chart.root);
    const now = chart.plot.cursor.left >= 0 ? chart.plot.cursor.left : null;
    chart.plot.setData(alignSeries(data), true);
    if (now !== null) chart.plot.setCursor({ left: now, top: chart.plot.cursor.top });
  }
  describeChart(chart);
  return () => {
    destroyChart(charts.get(parentElement));
    charts.delete(parentElement);
  };
}

// What a refresh does not change. Another shape needs a new chart.
function describeShape(data) {
  const series = data.series.map(({ name, kind }) => [name, kind]);
  const { view, zone, unit, log, language, height } = data;
  return JSON.stringify([view, zone, unit, log, language, height, series]);
}

function createChart(data, parent, shape) {
  const root = document.createElement("div");
  root.className = "ms-chart";
  root.dataset.testid = "sentinel-chart";
  root.innerHTML =
    '<div class="ms-legend"></div><div class="ms-frame">' +
    '<div class="ms-plot" tabindex="0" role="application"></div>' +
    '<button type="button" class="ms-reset" hidden></button><p class="ms-none" hidden></p>' +
    '<div class="ms-tip" role="status" hidden></div></div>';
  parent.append(root);
  const chart = { root, data, shape, hidden: new Set() };
  for (const name of ["legend", "plot", "reset", "none", "tip"]) chart[`${name}Box`] = root.querySelector(`.ms-${name}`);
  chart.clock = makeClock(data.zone);
  chart.colors = readColors(root);
  chart.plot = new uPlot(makeOptions(chart), alignSeries(data), chart.plotBox);
  chart.observer = new ResizeObserver(() => resizeChart(chart));
  chart.observer.observe(root);
  chart.scheme = matchMedia("(prefers-color-scheme: dark)");
  chart.onScheme = () => setTimeout(() => recolor(chart), 400); // after Streamlit has changed its theme
  chart.scheme.addEventListener("change", chart.onScheme);
  chart.resetBox.addEventListener("click", () => setZoom(chart, undefined));
  chart.plot.over.addEventListener("dblclick", () => setZoom(chart, undefined));
  chart.plotBox.addEventListener("keydown", (event) => handleKey(chart, event));
  chart.plotBox.addEventListener("blur", () => chart.plot.setCursor({ left: -10, top: -10 }));
  chart.legendBox.addEventListener("click", (event) => toggleSeries(chart, event));
  listenToTouch(chart);
  return chart;
}

function destroyChart(chart) {
  if (!chart) return;
  chart.observer.disconnect();
  chart.scheme.removeEventListener("change", chart.onScheme);
  chart.plot.destroy();
  chart.root.remove();
}

function describeChart(chart) {
  const { data, root } = chart;
  chart.plotBox.setAttribute("aria-label", data.label);
  chart.resetBox.textContent = data.labels.reset;
  chart.noneBox.textContent = data.labels.none;
  chart.noneBox.hidden = chart.plot.data[0].length > 0;
  drawLegend(chart);
  root.dataset.drawn = "true";
}

function recolor(chart) {
  chart.colors = readColors(chart.root);
  chart.plot.redraw(false);
}

function readColors(root) {
  // A canvas knows no light-dark(): the browser resolves it for an element.
  const probe = document.createElement("i");
  root.append(probe);
  const read = (name) => {
    probe.style.color = `var(--ms-${name})`;
    return getComputedStyle(probe).color;
  };
  const colors = Object.fromEntries(COLORS.map((name) => [name, read(name)]));
  probe.remove();
  return { ...colors, font: `12px ${getComputedStyle(root).fontFamily}` };
}

// --- the data ---------------------------------------------------------------------------------

// Candles need four columns; uPlot draws only the close, and this script the candle.
function columnsOf(series) {
  if (series.kind !== "candles") return [series.values];
  return [series.values, series.open, series.low, series.high];
}

function alignSeries(data) {
  const tables = data.series.map((series) => [series.times, ...columnsOf(series)]);
  return uPlot.join(tables.length ? tables : [[[], []]]);
}

// --- options of uPlot -------------------------------------------------------------------------

function makeOptions(chart) {
  const { data, colors } = chart;
  const narrow = isNarrow(chart);
  const hasVolume = data.series.some((series) => isVolume(series));
  const format = makeFormatter(data);
  const axis = { stroke: () => chart.colors.muted, font: colors.font, grid: { stroke: () => chart.colors.line, width: 1 }, ticks: { show: false } };
  const labels = (plot, splits, _axis, _space, step) => hideCutLabels(plot, splits, formatTimes(data, splits, step), 6.8);
  const count = (plot) => Math.max(2, Math.floor(plot.bbox.height / devicePixelRatio / 48));
  return {
    width: Math.max(200, chart.root.clientWidth),
    height: heightOf(chart),
    legend: { show: false },
    padding: [8, 4, 0, 2],
    scales: {
      x: { time: true, range: (_plot, low, high) => rangeTimes(chart, low, high) },
      y: { distr: data.log ? 3 : 1, range: (_plot, low, high) => padRange(chart, low, high, hasVolume) },
      volume: { range: (_plot, _low, high) => [0, (high || 1) / VOLUME_SHARE] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 24,
        gap: 4,
        space: narrow ? 62 : 84,
        incrs: TIME_STEPS,
        splits: (_plot, _axis, low, high, step) => splitTimes(chart.clock, low, high, step),
        values: labels,
      },
      {
        ...axis,
        side: 1,
        size: (_plot, values) => axisSize(values),
        splits: (plot, _axis, low, high) => (data.log ? splitLog : splitEvenly)(low, high, count(plot)),
        filter: (_plot, splits) => splits,
        values: (_plot, splits) => format.axis(splits),
      },
    ],
    series: [{}, ...data.series.flatMap((series) => makeSeries(chart, series))],
    cursor: { drag: { x: true, y: false, dist: 8 }, points: { size: 7 }, focus: { prox: -1 }, y: false },
    hooks: {
      drawClear: [(plot) => drawSpans(chart, plot)],
      draw: [(plot) => drawOverlays(chart, plot)],
      setCursor: [(plot) => showTip(chart, plot)],
      setSelect: [(plot) => zoomToSelection(chart, plot)],
    },
  };
}

function isVolume(series) {
  return series.kind === "bars" || series.kind === "volume";
}

function makeSeries(chart, series) {
  const stroke = () => chart.colors[series.color];
  const points = { show: true, size: 5, width: 0, fill: stroke, filter: (plot, column) => findSinglePoints(plot.data[column]) };
  const base = { label: series.name, stroke, width: 1.6, points, scale: "y" };
  const hidden = { ...base, paths: () => null, stroke: "transparent", points: { show: false } };
  const volume = { ...hidden, scale: "volume", width: 0, fill: stroke };
  if (series.kind === "bars") return [{ ...volume, paths: uPlot.paths.bars({ size: [0.7, 24], align: 1 }) }];
  if (series.kind === "volume") return [{ ...volume, width: 1, stroke: () => chart.colors.gap, paths: uPlot.paths.stepped({ align: 1 }) }];
  if (series.kind === "candles") return [hidden, hidden, hidden, hidden];
  if (series.kind === "steps") return [{ ...base, dash: [5, 4], paths: uPlot.paths.stepped({ align: 1 }) }];
  if (series.kind === "dashes") return [{ ...base, dash: [5, 4] }];
  if (series.kind === "area") return [{ ...base, fill: () => fade(stroke()) }];
  return [base];
}

// A point without a neighbor is no line. `undefined` stands where only another series has a point.
function findSinglePoints(values) {
  const single = [];
  let before = null;
  let candidate = null;
  for (let i = 0; i < values.length; i++) {
    if (values[i] === undefined) continue;
    if (values[i] === null) {
      if (candidate !== null) single.push(candidate);
      candidate = null;
    } else {
      candidate = before === null ? i : null;
    }
    before = values[i];
  }
  return candidate === null ? single : [...single, candidate];
}

function fade(color) {
  return color.replace(/^rgb\((.*)\)$/, "rgba($1, 0.12)");
}

function rangeTimes(chart, low, high) {
  const { data, zoom } = chart;
  if (zoom) return [zoom.min, zoom.max];
  const now = Date.now() / 1e3;
  const [from, to] = [data.from ?? low ?? now - HOUR, data.to ?? high ?? now];
  return from < to ? [from, to] : [from - HOUR / 2, to + HOUR / 2];
}

// Room above and below the prices, and below them for the volume.
function padRange(chart, low, high, hasVolume) {
  if (low == null) return chart.data.log ? [1, 10] : [0, 1];
  const bands = chart.data.bands.filter(({ times }) => times[0] < chart.plot.scales.x.max);
  const least = Math.min(low, ...bands.flatMap((band) => band.low));
  const most = Math.max(high, ...bands.flatMap((band) => band.high));
  const floor = chart.data.floor ?? 0;
  const below = (chart.data.extremes ? 0.12 : 0.06) + (hasVolume ? VOLUME_SHARE * 1.4 : 0);
  const above = chart.data.extremes ? 0.1 : 0.06;
  if (chart.data.log && least > 0) {
    const ratio = Math.max(most / least, 1 + floor, 1.0001);
    const middle = Math.sqrt(least * most);
    return [middle * ratio ** -(0.5 + below), middle * ratio ** (0.5 + above)];
  }
  const span = Math.max(most - least, Math.abs(most) * floor) || Math.abs(most) / 10 || 1;
  const middle = (least + most) / 2;
  return [middle - span * (0.5 + below), middle + span * (0.5 + above)];
}

// --- size, legend -----------------------------------------------------------------------------

function isNarrow(chart) {
  return chart.root.clientWidth < NARROW_PX;
}

function heightOf(chart) {
  return isNarrow(chart) ? Math.min(chart.data.height, NARROW_HEIGHT_PX) : chart.data.height;
}

function resizeChart(chart) {
  const width = Math.round(chart.root.clientWidth);
  const height = heightOf(chart);
  if (width > 0 && (width !== chart.plot.width || height !== chart.plot.height)) chart.plot.setSize({ width, height });
}

function drawLegend(chart) {
  const { data, hidden } = chart;
  const swatch = ({ name, color, kind }) =>
    `<i class="ms-swatch ms-${kind}" style="--swatch: var(--ms-${color})"></i>${escapeHtml(name)}`;
  const series = data.series.map(
    (each, index) =>
      `<button type="button" data-series="${index}" aria-pressed="${!hidden.has(index)}">${swatch(each)}</button>`,
  );
  const others = data.legend.map((each) => `<span>${swatch(each)}</span>`);
  const content = [...(data.series.length > 1 ? series : []), ...others].join("");
  if (content !== chart.legend) chart.legendBox.innerHTML = chart.legend = content;
}

function toggleSeries(chart, event) {
  const button = event.target.closest("button[data-series]");
  if (!button) return;
  const index = Number(button.dataset.series);
  const isHidden = chart.hidden.delete(index);
  if (!isHidden) chart.hidden.add(index);
  let column = 1;
  chart.data.series.forEach((series, number) => {
    columnsOf(series).forEach(() => {
      if (number === index) chart.plot.setSeries(column, { show: isHidden });
      column += 1;
    });
  });
  drawLegend(chart);
  chart.legendBox.querySelector(`[data-series="${index}"]`).focus();
}
