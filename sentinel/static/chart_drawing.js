// What a chart shows besides uPlot's lines: gaps, bands, candles, levels, marks, extremes.

const SHAPES = { up: 1, down: -1 };

function drawSpans(chart, plot) {
  const { ctx, bbox } = plot;
  clipped(plot, () => {
    for (const span of chart.data.spans) {
      const left = plot.valToPos(span.from, "x", true);
      const right = plot.valToPos(span.to, "x", true);
      ctx.fillStyle = span.kind === "gap" ? makeHatch(chart, ctx) : fade(chart.colors.backfilled);
      ctx.fillRect(left, bbox.top, Math.max(devicePixelRatio, right - left), bbox.height);
      // The tint alone is too pale to be seen by everybody.
      ctx.fillStyle = span.kind === "gap" ? chart.colors.gap : chart.colors.backfilled;
      ctx.globalAlpha = 0.7;
      for (const edge of [left, right]) ctx.fillRect(edge, bbox.top, devicePixelRatio, bbox.height);
      ctx.globalAlpha = 1;
    }
  });
}

function makeHatch(chart, ctx) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const brush = tile.getContext("2d");
  brush.strokeStyle = chart.colors.gap;
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
    if (chart.data.extremes) drawExtremes(chart, plot);
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
  const wick = Math.max(1, Math.round(devicePixelRatio));
  for (let i = 0; i < times.length; i++) {
    if (close[i] == null || times[i] + step < min || times[i] > max) continue;
    const x = Math.round(plot.valToPos(times[i] + step / 2, "x", true));
    const y = (value) => Math.round(plot.valToPos(value, "y", true));
    const isRise = close[i] >= open[i];
    const [top, bottom] = [y(Math.max(open[i], close[i])), y(Math.min(open[i], close[i]))];
    const height = Math.max(wick, bottom - top);
    const left = x - Math.floor(width / 2);
    ctx.fillStyle = isRise ? chart.colors.rise : chart.colors.fall;
    ctx.fillRect(x - Math.floor(wick / 2), y(high[i]), wick, Math.max(wick, y(low[i]) - y(high[i])));
    ctx.fillRect(left, top, width, height);
    // A rising candle is hollow where it is wide enough: color is not the only sign.
    if (isRise && width > 3 * wick && height > 3 * wick) {
      ctx.fillStyle = chart.colors.ground;
      ctx.fillRect(left + wick, top + wick, width - 2 * wick, height - 2 * wick);
    }
  }
}

function setFont(chart, ctx, size) {
  ctx.font = chart.colors.font.replace("12px", `${size * devicePixelRatio}px`);
}

// Writes a text within the plot, with the ground behind it, so that a line does not cross it.
function drawText(chart, plot, text, x, y, color) {
  const { ctx, bbox } = plot;
  setFont(chart, ctx, 11);
  const width = ctx.measureText(text).width;
  const margin = 3 * devicePixelRatio;
  const left = Math.max(bbox.left + margin, Math.min(x, bbox.left + bbox.width - width - margin));
  const base = Math.max(bbox.top + 12 * devicePixelRatio, Math.min(y, bbox.top + bbox.height - margin));
  ctx.lineJoin = "round";
  ctx.lineWidth = 3 * devicePixelRatio;
  ctx.strokeStyle = chart.colors.ground;
  ctx.strokeText(text, left, base);
  ctx.fillStyle = color;
  ctx.fillText(text, left, base);
}

function drawLevel(chart, plot, { value, text, color }) {
  const { ctx, bbox } = plot;
  const y = plot.valToPos(value, "y", true);
  if (y < bbox.top || y > bbox.top + bbox.height) return;
  ctx.strokeStyle = chart.colors[color];
  ctx.setLineDash([5 * devicePixelRatio, 4 * devicePixelRatio]);
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.setLineDash([]);
  drawText(chart, plot, text, bbox.left + 6 * devicePixelRatio, y - 4 * devicePixelRatio, chart.colors[color]);
}

// The highest and the lowest value of the first series within the shown time.
function drawExtremes(chart, plot) {
  const first = chart.data.series[0];
  if (!first || !plot.series[1].show) return;
  const [top, bottom] = first.kind === "candles" ? [4, 3] : [1, 1];
  const { min, max } = plot.scales.x;
  const times = plot.data[0];
  let [highest, lowest] = [-1, -1];
  for (let i = 0; i < times.length; i++) {
    if (times[i] < min || times[i] > max || plot.data[1][i] == null) continue;
    if (highest < 0 || plot.data[top][i] > plot.data[top][highest]) highest = i;
    if (lowest < 0 || plot.data[bottom][i] < plot.data[bottom][lowest]) lowest = i;
  }
  if (highest < 0 || plot.data[top][highest] === plot.data[bottom][lowest]) return;
  const format = makeFormatter(chart.data);
  const write = (index, column, dy) => {
    const value = plot.data[column][index];
    const x = plot.valToPos(times[index] + (first.kind === "candles" ? first.step / 2 : 0), "x", true);
    const text = format.value(value);
    setFont(chart, plot.ctx, 11);
    const left = x - plot.ctx.measureText(text).width / 2;
    drawText(chart, plot, text, left, plot.valToPos(value, "y", true) + dy * devicePixelRatio, chart.colors.muted);
  };
  write(highest, top, -6);
  write(lowest, bottom, 15);
}

// A mark beyond the values of the axis stands at its end.
function drawMark(chart, plot, mark) {
  const { ctx, bbox } = plot;
  const size = 6 * devicePixelRatio;
  const x = plot.valToPos(mark.at, "x", true);
  const y = Math.max(bbox.top + size, Math.min(plot.valToPos(mark.value, "y", true), bbox.top + bbox.height - size));
  ctx.fillStyle = chart.colors[mark.color];
  if (mark.shape.startsWith("tick")) {
    // Many marks would hide the line: a tick below or above it does not.
    const length = 7 * devicePixelRatio;
    ctx.fillRect(x, mark.shape === "tick-up" ? y + size / 2 : y - size / 2 - length, devicePixelRatio, length);
    return;
  }
  ctx.strokeStyle = chart.colors.ground;
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  const sign = SHAPES[mark.shape];
  if (sign) {
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
