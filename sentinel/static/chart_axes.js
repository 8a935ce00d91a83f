// The axes of a chart: where their labels stand, and how they write times and numbers.

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MONTH = 30.44 * DAY;
// Distances of the labels of a time axis, in seconds.
const TIME_STEPS = [
  ...[1, 5, 10, 15, 30].map((minutes) => minutes * MINUTE),
  ...[1, 2, 3, 4, 6, 12].map((hours) => hours * HOUR),
  ...[1, 2, 4, 7, 14].map((days) => days * DAY),
  ...[1, 2, 3, 6, 12, 24, 60, 120].map((months) => months * MONTH),
];
const MONDAY = 4 * DAY; // the first one after the start of 1970, a Thursday

// --- times ------------------------------------------------------------------------------------

// Converts between seconds since 1970 and the clock of a time zone, which is written as the seconds
// at which UTC shows the same.
function makeClock(zone) {
  const options = { timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" };
  const format = new Intl.DateTimeFormat("en-US", options);
  const toWall = (seconds) => {
    const parts = {};
    for (const { type, value } of format.formatToParts(new Date(Math.floor(seconds) * 1e3))) parts[type] = Number(value);
    return Date.UTC(parts.year, parts.month - 1, parts.day, parts.hour, parts.minute, parts.second) / 1e3;
  };
  // The first such time where a clock is set back; none where it skips the time.
  const fromWall = (wall) => {
    const offsets = [wall - DAY, wall + DAY].map((near) => toWall(near) - near);
    return offsets.map((offset) => wall - offset).find((seconds) => toWall(seconds) === wall);
  };
  return { toWall, fromWall };
}

// Labels stand at whole hours and days of the viewer's clock. Where that clock is set back, labels of
// an hour or less come twice, and longer distances contain 25 hours.
function splitTimes(clock, low, high, step) {
  if (step <= HOUR) {
    const offset = clock.toWall(low) - Math.floor(low);
    const first = Math.ceil((low + offset) / step) * step - offset;
    return Array.from({ length: Math.floor((high - first) / step) + 1 }, (_, index) => first + index * step);
  }
  const walls = step >= MONTH ? splitMonths(clock.toWall(low), clock.toWall(high), step) : splitDays(clock.toWall(low), clock.toWall(high), step);
  return walls.map(clock.fromWall).filter((seconds) => seconds !== undefined && seconds >= low && seconds <= high);
}

function splitDays(low, high, step) {
  const origin = step % (7 * DAY) ? 0 : MONDAY;
  const first = origin + Math.floor((low - origin) / step) * step;
  return Array.from({ length: Math.floor((high - first) / step) + 1 }, (_, index) => first + index * step);
}

function splitMonths(low, high, step) {
  const months = Math.round(step / MONTH);
  const start = new Date(low * 1e3);
  const first = Math.floor((start.getUTCFullYear() * 12 + start.getUTCMonth()) / months) * months;
  const walls = [];
  for (let month = first; ; month += months) {
    const wall = Date.UTC(Math.floor(month / 12), month % 12, 1) / 1e3;
    if (wall > high) return walls;
    walls.push(wall);
  }
}

function localeOf(data) {
  return data.language === "id" ? "id-ID" : "en-GB";
}

function formatTimes(data, splits, step) {
  const write = (options) => new Intl.DateTimeFormat(localeOf(data), { timeZone: data.zone, ...options });
  const clock = write({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const day = write({ day: "numeric", month: "short" });
  const month = write({ month: "short", year: "numeric" });
  return splits.map((seconds) => {
    const at = new Date(seconds * 1e3);
    if (step >= MONTH) return month.format(at);
    const time = clock.format(at);
    return step >= DAY || /^00[.:]00$/.test(time) ? day.format(at) : time;
  });
}

// A label that would be cut at the chart's left edge is left out.
function hideCutLabels(plot, splits, texts, pixelsPerCharacter) {
  const left = plot.bbox.left / devicePixelRatio;
  return texts.map((text, index) => {
    const center = left + plot.valToPos(splits[index], "x");
    return center < (text.length * pixelsPerCharacter) / 2 ? "" : text;
  });
}

function formatFullTime(data, seconds, isShort) {
  const long = isShort ? {} : { weekday: "short", year: "numeric" };
  const options = { timeZone: data.zone, ...long, day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZoneName: "short" };
  return new Intl.DateTimeFormat(localeOf(data), options).format(new Date(seconds * 1e3));
}

// --- numbers ----------------------------------------------------------------------------------

// The powers of ten, and what lies between them; within a narrow range evenly spaced values.
function splitLog(low, high, count) {
  if (high / low < 8) return splitEvenly(low, high, count);
  const decades = Math.log10(high / low);
  const digits = decades > count ? [1] : decades > count / 3 ? [1, 3] : [1, 2, 5];
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
    found.push(...digits.map((digit) => digit * 10 ** power));
  return found.filter((value) => value >= low && value <= high);
}

function splitEvenly(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  // The nearest one in logarithms.
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((size) => size * 1.5 >= rough);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, index) => (first + index) * step);
}

function axisSize(values) {
  const longest = Math.max(4, ...(values ?? []).map((value) => String(value).length));
  return 14 + longest * 6.8;
}

// As sentinel/amounts.py writes them: the language decides the notation.
const SYMBOLS = { en: { USD: "$", IDR: "Rp" }, id: { USD: "US$", IDR: "Rp" } };
const MAX_DIGITS = 18;

function makeFormatter({ unit, language }) {
  const locale = language === "id" ? "id-ID" : "en-US";
  const number = (value, options) => new Intl.NumberFormat(locale, options).format(value).replace("-", "−");
  const places = (digits) => ({ minimumFractionDigits: digits, maximumFractionDigits: digits });
  const symbol = SYMBOLS[language][unit];
  const sign = (value, text) => (value < 0 ? `−${symbol}${text}` : `${symbol}${text}`);
  const percent = (value, digits) => `${value > 0 ? "+" : ""}${number(value * 100, places(digits))}%`;
  const axisValue = (value, step) => {
    if (value == null) return "";
    if (unit === "percent") return percent(value, countDigits(step * 100));
    const size = Math.abs(value);
    if (size < 1e6) return sign(value, number(size, places(countDigits(step))));
    const scale = 1000 ** Math.floor(Math.log10(size) / 3);
    return sign(value, number(size, { notation: "compact", ...places(countDigits(step / scale)) }));
  };
  return {
    axis(splits) {
      const shown = splits.filter((value) => value != null);
      // The distance at a logarithmic axis differs from label to label.
      const distance = (index) => Math.abs(shown[index + 1] - shown[index]) || Math.abs(shown[index]) || 1;
      return splits.map((value) => {
        const index = Math.min(shown.indexOf(value), shown.length - 2);
        return axisValue(value, index < 0 ? Math.abs(value) / 100 : distance(index));
      });
    },
    // The rule of sentinel/amounts.py.
    value(value) {
      if (value == null) return "—";
      if (unit === "percent") return percent(value, Math.abs(value) < 0.01 ? 2 : 1);
      const size = Math.abs(value);
      let digits = 2;
      if (unit === "IDR" && size >= 100) digits = 0;
      else if (size > 0 && size < 1) digits = Math.min(MAX_DIGITS, 3 - Math.floor(Math.log10(size)));
      return sign(value, number(size, places(digits)));
    },
    compact: (value) => (value == null ? "—" : sign(value, number(value, { notation: "compact", maximumSignificantDigits: 3 }))),
  };
}

// Of the digits after the point that tell values apart which lie `step` from each other.
function countDigits(step) {
  if (!(step > 0)) return 0;
  return Math.max(0, Math.min(MAX_DIGITS, -Math.floor(Math.log10(step) + 1e-9)));
}
