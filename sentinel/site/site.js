// Ages of times, and the banner of a page whose maker has stopped. A page reads without it.
"use strict";

const MINUTE = 60_000;

// Returns a duration in the largest unit that still shows two digits, as the project's commands do.
function formatAge(milliseconds) {
  const minutes = Math.abs(milliseconds) / MINUTE;
  if (minutes < 1) return "less than a minute";
  if (minutes < 100) return `${Math.round(minutes)} min`;
  if (minutes < 48 * 60) return `${Math.round(minutes / 60)} hours`;
  return `${Math.round(minutes / 1440)} days`;
}

function showAges(now) {
  for (const element of document.querySelectorAll("time[data-age]")) {
    element.title ||= `${element.textContent} UTC`;
    const age = now - Date.parse(element.dateTime);
    element.textContent = age < -MINUTE ? `in ${formatAge(age)}` : `${formatAge(age)} ago`;
  }
}

// A static page cannot know that its maker has stopped, so the reader's clock has to tell.
function showWhetherOld(now) {
  const { generated, oldAfter } = document.documentElement.dataset;
  const age = now - Date.parse(generated);
  const isOld = age > Number(oldAfter) * 1000;
  const banner = document.querySelector(".old-page");
  document.documentElement.classList.toggle("old", isOld);
  banner.hidden = !isOld;
  if (isOld) {
    banner.textContent =
      `This page was made ${formatAge(age)} ago. The job that makes it seems to have stopped.`;
  }
}

function refresh() {
  const now = Date.now();
  showAges(now);
  showWhetherOld(now);
}

// The title of a chart's cell, which touch screens do not show, stands below the chart as well.
document.addEventListener("pointerover", (event) => {
  const title = event.target.closest?.(".chart g")?.querySelector("title");
  const readout = title?.closest("figure")?.querySelector(".readout");
  if (readout) readout.textContent = title.textContent;
});

refresh();
setInterval(refresh, MINUTE);
document.addEventListener("visibilitychange", refresh);
