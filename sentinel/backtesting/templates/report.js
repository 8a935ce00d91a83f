// Draws the charts of a report; the scripts of the chart stand before this one.

const report = JSON.parse(document.getElementById("charts").textContent);
const money = makeFormatter({ unit: "USD", language: "en" });

function makeMark(fills, index) {
  const isBought = Boolean(fills.bought[index]);
  const shape = isBought ? "up" : "down";
  return {
    at: fills.times[index],
    value: fills.values[index],
    text: `${isBought ? "bought" : "sold"} at ${money.value(fills.values[index])}`,
    shape: fills.is_tick ? `tick-${shape}` : shape,
    color: isBought ? "rise" : "fall",
  };
}

for (const [id, chart] of Object.entries(report.charts)) {
  const series = chart.series.map((each) => ({ times: report.times, ...each }));
  const marks = chart.fills ? chart.fills.times.map((_, index) => makeMark(chart.fills, index)) : [];
  showChart({ data: { ...chart, series, marks }, parentElement: document.getElementById(id) });
}
