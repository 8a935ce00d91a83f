// What a viewer does in a chart: the tooltip, zoom, keyboard and touch.

const MARK_RADIUS_PX = 14; // within which the tooltip names a mark
const MAX_NAMED_MARKS = 4;
const LEAST_ZOOM_SECONDS = 120;

// --- tooltip ----------------------------------------------------------------------------------

function showTip(chart, plot) {
  const { data, tipBox } = chart;
  const { left, idx } = plot.cursor;
  if (left == null || left < 0 || idx == null) {
    tipBox.hidden = true;
    return;
  }
  const marks = data.marks.filter((mark) => Math.abs(plot.valToPos(mark.at, "x") - left) < MARK_RADIUS_PX);
  const lines = [`<b>${escapeHtml(formatFullTime(data, plot.data[0][idx], isNarrow(chart)))}</b>`, ...describeValues(chart, plot, idx)];
  if (lines.length === 1) lines.push(escapeHtml(data.labels.gap));
  const distance = (mark) => Math.abs(plot.valToPos(mark.at, "x") - left);
  const nearest = [...marks].sort((one, other) => distance(one) - distance(other)).slice(0, MAX_NAMED_MARKS);
  lines.push(...marks.filter((mark) => nearest.includes(mark)).map((mark) => `<em>${escapeHtml(mark.text)}</em>`));
  if (marks.length > nearest.length) lines.push(`<em>+${marks.length - nearest.length}</em>`);
  tipBox.innerHTML = lines.join("<br>");
  tipBox.hidden = false;
  placeTip(chart, plot.over.offsetLeft + left);
}

// In a narrow window the tooltip keeps to the other half, where no finger covers it.
function placeTip(chart, pointer) {
  const { tipBox, root, plot } = chart;
  const right = plot.over.offsetLeft + plot.over.clientWidth;
  const isLeft = pointer < right / 2;
  tipBox.style.maxWidth = isNarrow(chart) ? `${Math.round(right / 2 - 24)}px` : "";
  const width = tipBox.offsetWidth;
  let x = isLeft ? right - width - 4 : 4;
  if (!isNarrow(chart)) x = pointer + width + 16 > root.clientWidth ? pointer - width - 14 : pointer + 14;
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
      const parts = [`${o} ${format.value(open)}`, `${h} ${format.value(high)}`, `${l} ${format.value(low)}`, `${c} ${format.value(close)}`];
      lines.push(...(isNarrow(chart) ? parts : [parts.slice(0, 2).join(" · "), parts.slice(2).join(" · ")]));
    } else if (isShown) {
      const text = isVolume(series) ? format.compact(close) : format.value(close);
      lines.push(`${escapeHtml(series.name)} ${escapeHtml(text)}`);
    }
    column += columnsOf(series).length;
  }
  return lines;
}

// --- zoom, keyboard, touch --------------------------------------------------------------------

function zoomToSelection(chart, plot) {
  const { left, width } = plot.select;
  if (width <= 0) return;
  const [min, max] = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
  plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
  setZoom(chart, { min, max });
}

function setZoom(chart, zoom) {
  chart.zoom = undefined;
  const [from, to] = rangeTimes(chart, chart.plot.data[0][0], chart.plot.data[0].at(-1));
  if (zoom) {
    const [min, max] = [Math.max(from, zoom.min), Math.min(to, zoom.max)];
    if (max - min < Math.min(LEAST_ZOOM_SECONDS, to - from)) return;
    if (max - min < to - from) chart.zoom = { min, max };
  }
  chart.resetBox.hidden = !chart.zoom;
  chart.root.dataset.zoomed = String(Boolean(chart.zoom));
  chart.plot.setScale("x", chart.zoom ?? { min: from, max: to });
}

// The arrow keys move the crosshair, Home and End go to the ends, + and - zoom, Escape returns.
function handleKey(chart, event) {
  const { plot } = chart;
  const { min, max } = plot.scales.x;
  const times = plot.data[0];
  const first = times.findIndex((time) => time >= min);
  const last = times.findLastIndex((time) => time <= max);
  const now = plot.cursor.left >= 0 ? (plot.cursor.idx ?? last) : last + 1;
  const step = event.shiftKey ? 10 : 1;
  const target = { ArrowLeft: now - step, ArrowRight: now + step, Home: first, End: last }[event.key];
  const factor = { "+": 0.25, "=": 0.25, "-": 1 }[event.key];
  if (event.key === "Escape") {
    plot.setCursor({ left: -10, top: -10 });
    setZoom(chart, undefined);
  } else if (factor) {
    const middle = plot.cursor.left >= 0 && plot.cursor.idx != null ? times[plot.cursor.idx] : (min + max) / 2;
    setZoom(chart, { min: middle - (max - min) * factor, max: middle + (max - min) * factor });
  } else if (target !== undefined && last >= 0) {
    event.preventDefault();
    const idx = Math.min(last, Math.max(first, target));
    plot.setCursor({ left: plot.valToPos(times[idx], "x"), top: 10 });
  }
}

// One finger moves the crosshair sideways (up and down the page scrolls), two fingers zoom.
function listenToTouch(chart) {
  const { plot } = chart;
  const { over } = plot;
  const places = (event) => [...event.touches].map((touch) => touch.clientX - over.getBoundingClientRect().left);
  let pinched;
  over.addEventListener("touchstart", (event) => {
    const found = places(event);
    pinched = found.length === 2 ? found.map((x) => plot.posToVal(x, "x")) : undefined;
  }, { passive: true });
  over.addEventListener("touchmove", (event) => {
    const found = places(event);
    if (found.length === 2 && pinched) zoomByPinch(chart, pinched, found);
    else if (found.length === 1) plot.setCursor({ left: found[0], top: 10 });
  }, { passive: true });
}

// The times under the fingers stay there.
function zoomByPinch(chart, times, places) {
  const distance = places[1] - places[0];
  if (Math.abs(distance) < 10) return;
  const perPixel = (times[1] - times[0]) / distance;
  const min = times[0] - places[0] * perPixel;
  if (perPixel > 0) setZoom(chart, { min, max: min + chart.plot.over.clientWidth * perPixel });
}
