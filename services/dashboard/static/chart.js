// A chart over time: lines, candles and volume, with gaps, marks and levels. uPlot draws the axes and
// the lines; it stands before this script in the same file.
//
// chart.py describes `data`. Times are seconds since 1970, and shown in the viewer's time zone.

const charts = new WeakMap();
const VOLUME_SHARE = 0.22; // of the chart's height
const MARK_RADIUS_PX = 14; // within which the tooltip names a mark
const SHAPES = { up: [0, 1, -1], down: [0, -1, 1] };

export default function showChart({ data, parentElement }) {
  const shape = describeShape(data, parentElement);
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
    chart.plot.setData(alignSeries(data), !chart.zoom);
    if (chart.zoom) chart.plot.setScale("x", chart.zoom);
  }
  describeChart(chart);
  return () => {
    destroyChart(charts.get(parentElement));
    charts.delete(parentElement);
  };
}

// What a refresh does not change. Another shape needs a new chart.
function describeShape(data, parent) {
  const series = data.series.map(({ name, kind }) => [name, kind]);
  const ground = getComputedStyle(parent).getPropertyValue("--st-background-color");
  const { id, zone, unit, log, language, height } = data;
  return JSON.stringify([id, zone, unit, log, language, height, series, ground]);
}

function createChart(data, parent, shape) {
  const root = document.createElement("div");
  root.className = "ms-chart";
  root.dataset.testid = "sentinel-chart";
  root.innerHTML =
    '<div class="ms-legend"></div><div class="ms-plot" tabindex="0" role="img"></div>' +
    '<button type="button" class="ms-reset" hidden></button><div class="ms-tip" hidden></div>';
  parent.append(root);
  const chart = { root, data, shape, hidden: new Set() };
  for (const name of ["legend", "plot", "reset", "tip"]) chart[`${name}Box`] = root.querySelector(`.ms-${name}`);
  chart.colors = readColors(root);
  chart.plot = new uPlot(makeOptions(chart), alignSeries(data), chart.plotBox);
  chart.observer = new ResizeObserver(() => resizeChart(chart));
  chart.observer.observe(root);
  chart.resetBox.addEventListener("click", () => resetZoom(chart));
  chart.plot.over.addEventListener("dblclick", () => resetZoom(chart));
  chart.plotBox.addEventListener("keydown", (event) => handleKey(chart, event));
  chart.legendBox.addEventListener("click", (event) => toggleSeries(chart, event));
  return chart;
}

function destroyChart(chart) {
  chart?.observer.disconnect();
  chart?.plot.destroy();
  chart?.root.remove();
}

function describeChart(chart) {
  const { data, root } = chart;
  chart.plotBox.setAttribute("aria-label", data.label);
  chart.resetBox.textContent = data.labels.reset;
  drawLegend(chart);
  root.dataset.drawn = "true";
}

function readColors(root) {
  const style = getComputedStyle(root);
  // A canvas knows no light-dark(): the browser resolves it for an element.
  const probe = document.createElement("i");
  root.append(probe);
  const read = (name) => {
    probe.style.color = `var(--ms-${name})`;
    return getComputedStyle(probe).color;
  };
  const names = ["ink", "muted", "line", "price", "second", "third", "fourth", "rise", "fall", "forecast", "backfilled", "volume", "gap", "band"];
  const colors = Object.fromEntries(names.map((name) => [name, read(name)]));
  probe.remove();
  return { ...colors, font: `12px ${style.fontFamily}` };
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
  const narrow = chart.root.clientWidth < 560;
  const hasVolume = data.series.some((series) => series.kind === "bars");
  const format = makeFormatter(data);
  const axis = { stroke: colors.muted, font: colors.font, grid: { stroke: colors.line, width: 1 }, ticks: { show: false } };
  return {
    width: Math.max(200, chart.root.clientWidth),
    height: narrow ? Math.min(data.height, 300) : data.height,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1e3), data.zone),
    legend: { show: false },
    padding: [8, 4, 0, 14],
    scales: {
      x: { time: true, range: (_plot, low, high) => [data.from ?? low, data.to ?? high] },
      y: { distr: data.log ? 3 : 1, range: (_plot, low, high) => padRange(chart, low, high, hasVolume) },
      volume: { range: (_plot, _low, high) => [0, (high || 1) / VOLUME_SHARE] },
    },
    axes: [
      { ...axis, grid: { show: false }, space: narrow ? 62 : 80, values: (_plot, splits, _axis, _space, step) => formatTimes(data, splits, step) },
      { ...axis, side: 1, size: (_plot, values) => axisSize(values), values: (_plot, splits) => format.axis(splits) },
    ],
    series: [{}, ...data.series.flatMap((series) => makeSeries(chart, series))],
    cursor: { drag: { x: true, y: false, dist: 8 }, points: { size: 7 }, focus: { prox: -1 }, y: false },
    hooks: {
      drawClear: [(plot) => drawSpans(chart, plot)],
      draw: [(plot) => drawOverlays(chart, plot)],
      setCursor: [(plot) => showTip(chart, plot)],
      setSelect: [(plot) => rememberZoom(chart, plot)],
    },
  };
}

function makeSeries(chart, series) {
  const color = chart.colors[series.color];
  const base = { label: series.name, stroke: color, width: 1.6, points: { show: false }, scale: "y" };
  const hidden = { ...base, paths: () => null, stroke: "transparent" };
  if (series.kind === "bars") {
    return [{ ...base, scale: "volume", stroke: "transparent", width: 0, fill: color, paths: uPlot.paths.bars({ size: [0.7, 24], align: 1 }) }];
  }
  if (series.kind === "candles") return [hidden, hidden, hidden, hidden];
  if (series.kind === "steps") return [{ ...base, dash: [5, 4], paths: uPlot.paths.stepped({ align: 1 }) }];
  if (series.kind === "dashes") return [{ ...base, dash: [5, 4] }];
  if (series.kind === "area") return [{ ...base, fill: fade(color) }];
  return [base];
}

function fade(color) {
  return color.replace(/^rgb\((.*)\)$/, "rgba($1, 0.10)");
}

// Room above and below the prices, and below them for the volume.
function padRange(chart, low, high, hasVolume) {
  if (low == null) return [0, 1];
  const levels = chart.data.levels.filter((level) => level.is_in_range).map((level) => level.value);
  const least = Math.min(low, ...levels);
  const most = Math.max(high, ...levels);
  const floor = chart.data.floor ?? 0;
  if (chart.data.log && least > 0) {
    const ratio = Math.max(most / least, 1 + floor);
    return [least / ratio ** (hasVolume ? 0.35 : 0.06), most * ratio ** 0.06];
  }
  const span = Math.max(most - least, Math.abs(most) * floor) || Math.abs(most) || 1;
  const middle = (least + most) / 2;
  return [middle - span * (hasVolume ? 0.86 : 0.56), middle + span * 0.56];
}

function axisSize(values) {
  const longest = Math.max(4, ...(values ?? []).map((value) => String(value).length));
  return 14 + longest * 6.8;
}

// --- numbers and times ------------------------------------------------------------------------

// As sentinel/amounts.py writes them: the language decides the notation.
const SYMBOLS = { en: { USD: "$", IDR: "Rp" }, id: { USD: "US$", IDR: "Rp" } };

function makeFormatter({ unit, language }) {
  const locale = language === "id" ? "id-ID" : "en-US";
  const number = (value, options) => new Intl.NumberFormat(locale, options).format(value).replace("-", "−");
  const places = (digits) => ({ minimumFractionDigits: digits, maximumFractionDigits: digits });
  const symbol = SYMBOLS[language][unit];
  const sign = (value, text) => (value < 0 ? `−${symbol}${text}` : `${symbol}${text}`);
  return {
    axis(splits) {
      const step = splits.length > 1 ? Math.abs(splits[1] - splits[0]) : 1;
      if (unit === "percent") {
        const digits = step < 0.01 ? 1 : 0;
        return splits.map((value) => (value == null ? "" : `${number(value * 100, places(digits))}%`));
      }
      const digits = Math.max(0, Math.min(18, -Math.floor(Math.log10(step || 1) + 1e-9)));
      return splits.map((value) => {
        if (value == null) return "";
        const size = Math.abs(value);
        if (size >= 1e6) return sign(value, number(size, { notation: "compact", maximumFractionDigits: 3 }));
        return sign(value, number(size, places(digits)));
      });
    },
    // The rule of sentinel/amounts.py.
    value(value) {
      if (value == null) return "—";
      if (unit === "percent") return `${value > 0 ? "+" : ""}${number(value * 100, places(1))}%`;
      const size = Math.abs(value);
      let digits = 2;
      if (unit === "IDR" && size >= 100) digits = 0;
      else if (size > 0 && size < 1) digits = Math.min(18, 3 - Math.floor(Math.log10(size)));
      return sign(value, number(size, places(digits)));
    },
    compact: (value) => (value == null ? "—" : sign(value, number(value, { notation: "compact", maximumSignificantDigits: 3 }))),
  };
}

function formatTimes(data, splits, step) {
  const locale = data.language === "id" ? "id-ID" : "en-GB";
  const formatter = (options) => new Intl.DateTimeFormat(locale, { timeZone: data.zone, ...options });
  const clock = formatter({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const day = formatter({ day: "numeric", month: "short" });
  const month = formatter({ month: "short", year: "numeric" });
  return splits.map((seconds) => {
    const at = new Date(seconds * 1e3);
    if (step >= 28 * 86400) return month.format(at);
    const time = clock.format(at);
    return step >= 86400 || /^0?0[.:]00$/.test(time) ? day.format(at) : time;
  });
}

function formatFullTime(data, seconds) {
  const locale = data.language === "id" ? "id-ID" : "en-GB";
  const options = { timeZone: data.zone, day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZoneName: "short" };
  return new Intl.DateTimeFormat(locale, options).format(new Date(seconds * 1e3));
}

// --- what uPlot does not draw -----------------------------------------------------------------

function drawSpans(chart, plot) {
  const { ctx, bbox } = plot;
  clipped(plot, () => {
    for (const span of chart.data.spans) {
      const left = plot.valToPos(span.from, "x", true);
      const right = plot.valToPos(span.to, "x", true);
      ctx.fillStyle = span.kind === "gap" ? makeHatch(chart, ctx) : fade(chart.colors.backfilled);
      ctx.fillRect(left, bbox.top, Math.max(1, right - left), bbox.height);
    }
  });
}

function makeHatch(chart, ctx) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const brush = tile.getContext("2d");
  brush.strokeStyle = chart.colors.gap;
  brush.lineWidth = 1.5;
  brush.beginPath();
  for (const x of [-4, 4]) {
    brush.moveTo(x, 8);
    brush.lineTo(x + 8, 0);
  }
  brush.stroke();
  return ctx.createPattern(tile, "repeat");
}

function drawOverlays(chart, plot) {
  clipped(plot, () => {
    chart.data.bands.forEach((band) => drawBand(chart, plot, band));
    drawAllCandles(chart, plot);
    chart.data.levels.forEach((level) => drawLevel(chart, plot, level));
    chart.data.marks.forEach((mark) => drawMark(chart, plot, mark));
  });
}

function clipped(plot, draw) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  draw();
  ctx.restore();
}

function drawBand(chart, plot, { times, low, high }) {
  const { ctx } = plot;
  const point = (time, value) => [plot.valToPos(time, "x", true), plot.valToPos(value, "y", true)];
  ctx.fillStyle = chart.colors.band;
  ctx.beginPath();
  times.forEach((time, index) => ctx.lineTo(...point(time, high[index])));
  [...times.keys()].reverse().forEach((index) => ctx.lineTo(...point(times[index], low[index])));
  ctx.fill();
}

function drawAllCandles(chart, plot) {
  let column = 1;
  for (const series of chart.data.series) {
    if (series.kind === "candles" && plot.series[column].show) drawCandles(chart, plot, column, series.step);
    column += columnsOf(series).length;
  }
}

function drawCandles(chart, plot, column, step) {
  const { ctx } = plot;
  const [times, close, open, low, high] = [0, column, column + 1, column + 2, column + 3].map((i) => plot.data[i]);
  const { min, max } = plot.scales.x;
  const slot = Math.abs(plot.valToPos(min + step, "x", true) - plot.valToPos(min, "x", true));
  const width = Math.max(1, Math.round(slot * 0.7));
  for (let i = 0; i < times.length; i++) {
    if (close[i] == null || times[i] + step < min || times[i] > max) continue;
    const x = Math.round(plot.valToPos(times[i] + step / 2, "x", true));
    const y = (value) => Math.round(plot.valToPos(value, "y", true));
    const isRise = close[i] >= open[i];
    const [top, bottom] = [y(Math.max(open[i], close[i])), y(Math.min(open[i], close[i]))];
    ctx.fillStyle = ctx.strokeStyle = isRise ? chart.colors.rise : chart.colors.fall;
    ctx.fillRect(x, y(high[i]), 1, y(low[i]) - y(high[i]));
    // A rising candle is hollow where it is wide enough: color is not the only sign.
    if (isRise && width > 4) {
      ctx.clearRect(x - width / 2, top, width, Math.max(1, bottom - top));
      ctx.strokeRect(x - width / 2 + 0.5, top + 0.5, width - 1, Math.max(1, bottom - top - 1));
    } else {
      ctx.fillRect(x - width / 2, top, width, Math.max(1, bottom - top));
    }
  }
}

function drawLevel(chart, plot, { value, text, color }) {
  const { ctx, bbox } = plot;
  const y = plot.valToPos(value, "y", true);
  if (y < bbox.top || y > bbox.top + bbox.height) return;
  ctx.strokeStyle = ctx.fillStyle = chart.colors[color];
  ctx.setLineDash([2, 4]);
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.setLineDash([]);
  ctx.font = chart.colors.font.replace("12px", `${11 * devicePixelRatio}px`);
  ctx.fillText(text, bbox.left + 6 * devicePixelRatio, y - 4 * devicePixelRatio);
}

function drawMark(chart, plot, mark) {
  const { ctx } = plot;
  const x = plot.valToPos(mark.at, "x", true);
  const y = plot.valToPos(mark.value, "y", true);
  const size = 6 * devicePixelRatio;
  ctx.fillStyle = chart.colors[mark.color];
  ctx.strokeStyle = chart.colors.ink;
  ctx.beginPath();
  if (SHAPES[mark.shape]) {
    const [, sign] = SHAPES[mark.shape];
    ctx.moveTo(x, y - sign * size);
    ctx.lineTo(x + size, y + sign * size);
    ctx.lineTo(x - size, y + sign * size);
  } else {
    ctx.rect(x - size * 0.8, y - size * 0.8, size * 1.6, size * 1.6);
  }
  ctx.closePath();
  ctx.fill();
  ctx.stroke();
}

// --- legend, tooltip, zoom, keyboard ----------------------------------------------------------

function drawLegend(chart) {
  const { data, hidden } = chart;
  const series = data.series.map(
    ({ name, color, kind }, index) =>
      `<button type="button" data-series="${index}" aria-pressed="${!hidden.has(index)}">` +
      `<i class="ms-swatch ms-${kind}" style="--swatch: var(--ms-${color})"></i>${escapeHtml(name)}</button>`,
  );
  const others = data.legend.map(
    ({ name, color, kind }) =>
      `<span><i class="ms-swatch ms-${kind}" style="--swatch: var(--ms-${color})"></i>${escapeHtml(name)}</span>`,
  );
  chart.legendBox.innerHTML = [...(data.series.length > 1 ? series : []), ...others].join("");
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
}

function showTip(chart, plot) {
  const { data, tipBox } = chart;
  const { left, idx } = plot.cursor;
  if (left == null || left < 0 || idx == null) {
    tipBox.hidden = true;
    return;
  }
  const time = plot.data[0][idx];
  const marks = data.marks.filter((mark) => Math.abs(plot.valToPos(mark.at, "x") - left) < MARK_RADIUS_PX);
  const lines = [`<b>${escapeHtml(formatFullTime(data, time))}</b>`, ...describeValues(chart, plot, idx)];
  lines.push(...marks.map((mark) => `<em>${escapeHtml(mark.text)}</em>`));
  tipBox.innerHTML = lines.join("<br>");
  tipBox.hidden = false;
  const width = tipBox.offsetWidth;
  const offset = plot.over.offsetLeft + left;
  const x = offset + width + 16 > chart.root.clientWidth ? offset - width - 12 : offset + 12;
  tipBox.style.transform = `translate(${Math.max(0, x)}px, 0)`;
}

function describeValues(chart, plot, idx) {
  const format = makeFormatter(chart.data);
  const lines = [];
  let column = 1;
  for (const series of chart.data.series) {
    const [close, open, low, high] = [0, 1, 2, 3].map((i) => plot.data[column + i]?.[idx]);
    const isShown = plot.series[column].show && close != null;
    if (isShown && series.kind === "candles") {
      const { open: o, high: h, low: l, close: c } = chart.data.labels;
      lines.push(`${o} ${format.value(open)} · ${h} ${format.value(high)}`, `${l} ${format.value(low)} · ${c} ${format.value(close)}`);
    } else if (isShown) {
      const text = series.kind === "bars" ? format.compact(close) : format.value(close);
      lines.push(`${escapeHtml(series.name)} ${escapeHtml(text)}`);
    }
    column += columnsOf(series).length;
  }
  return lines;
}

function rememberZoom(chart, plot) {
  if (plot.select.width <= 0) return;
  const from = plot.posToVal(plot.select.left, "x");
  const to = plot.posToVal(plot.select.left + plot.select.width, "x");
  chart.zoom = { min: from, max: to };
  chart.resetBox.hidden = false;
}

function resetZoom(chart) {
  chart.zoom = undefined;
  chart.resetBox.hidden = true;
  chart.plot.setData(chart.plot.data, true);
}

function resizeChart(chart) {
  const width = Math.round(chart.root.clientWidth);
  if (width > 0 && width !== chart.plot.width) chart.plot.setSize({ width, height: chart.plot.height });
}

// The arrow keys move the crosshair, Home and End go to the ends, Escape hides it.
function handleKey(chart, event) {
  const { plot } = chart;
  const last = plot.data[0].length - 1;
  const now = plot.cursor.idx ?? last;
  const step = event.shiftKey ? 10 : 1;
  const target = { ArrowLeft: now - step, ArrowRight: now + step, Home: 0, End: last }[event.key];
  if (event.key === "Escape") {
    plot.setCursor({ left: -10, top: -10 });
    resetZoom(chart);
  } else if (target !== undefined && last >= 0) {
    event.preventDefault();
    const idx = Math.min(last, Math.max(0, target));
    plot.setCursor({ left: plot.valToPos(plot.data[0][idx], "x"), top: 10 });
  }
}

function escapeHtml(text) {
  return String(text ?? "").replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
