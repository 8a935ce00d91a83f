"""The chart component in a browser, without a server: axes, zoom, keyboard, touch, odd values."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page

from sentinel import static_files as shared
from services.dashboard.elements.chart import Chart, Mark, Series, describe_chart
from services.dashboard.formatting import Formatter
from services.dashboard.server import static_files
from tests.conftest import NOW
from tests.support.browser import PHONE, running_browser

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120), pytest.mark.usefixtures("no_error")]

ADDRESS = "http://chart.test/"
# Records what the chart writes on its canvas.
PAGE = """<!doctype html><html style="color-scheme: light dark">
<link rel="stylesheet" href="chart.css"><body style="margin: 0"><div id="chart"></div>
<script type="module">
import show from "./chart.js";
const fillText = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
  window.written.push({ text, x: x + this.getTransform().e, y });
  return fillText.apply(this, arguments);
};
window.draw = (data) => {
  window.written = [];
  show({ data, parentElement: document.getElementById("chart") });
};
window.ready = true;
</script></body></html>"""
# Puts fingers on the chart, moves them sideways, and lifts them.
TOUCH = """([starts, stops]) => {
    const over = document.querySelector(".u-over");
    const { left, top } = over.getBoundingClientRect();
    const send = (type, places) => over.dispatchEvent(new TouchEvent(type, {
        touches: places.map((x, identifier) => new Touch(
            { identifier, target: over, clientX: left + x, clientY: top + 40 })),
    }));
    send("touchstart", starts);
    send("touchmove", stops);
    send("touchend", []);
}"""
TWO_FRAMES = "new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"
WIDE = (1000, 700)
Written = list[dict[str, Any]]


@pytest.fixture(scope="module")
def window() -> Iterator[Page]:
    files = {
        "": ("text/html", PAGE.encode()),
        "chart.js": ("text/javascript", static_files._read_script("chart")),
        "chart.css": ("text/css", shared.read("chart.css").encode()),
    }

    def answer(route: Any) -> None:
        kind, body = files[route.request.url.removeprefix(ADDRESS)]
        route.fulfill(content_type=kind, body=body)

    with running_browser() as browser:
        page = browser.new_page()
        page.route(f"{ADDRESS}**", answer)
        page.goto(ADDRESS)
        page.wait_for_function("window.ready")
        yield page


@pytest.fixture
def page(window: Page) -> Page:
    _resize(window, WIDE)
    return window


@pytest.fixture
def no_error(window: Page) -> Iterator[None]:
    errors: list[str] = []
    window.on("pageerror", lambda error: errors.append(str(error)))
    yield
    assert errors == []


def _resize(page: Page, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})


def _line(times: Sequence[int], values: Sequence[float | None], view: str) -> Chart:
    series = Series(name="Price", times=times, values=values)
    return Chart(label="Price", series=[series], unit="USD", view=view)


def _describe(chart: Chart) -> dict[str, Any]:
    return describe_chart(chart, Formatter("USD", ZoneInfo("Europe/Berlin"), False, None, NOW))


def _draw(page: Page, chart: Chart) -> Written:
    """Draw a chart, or draw it again as a refresh does, and return what is written on it."""
    page.evaluate("data => window.draw(data)", _describe(chart))
    page.evaluate(TWO_FRAMES)
    written: Written = page.evaluate("window.written")
    return written


def _times(written: Written) -> Written:
    """Return the labels of the time axis, which are the lowest texts, from left to right."""
    bottom = max(text["y"] for text in written)
    return sorted((t for t in written if t["y"] == bottom and t["text"]), key=lambda t: t["x"])


def _texts(written: Written) -> list[str]:
    return [text["text"] for text in _times(written)]


def _prices(written: Written) -> list[str]:
    bottom = max(text["y"] for text in written)
    return [text["text"] for text in written if text["y"] != bottom]


def _day(day: str, days: int = 1) -> range:
    """Return the seconds of days of Berlin, every five minutes, with the end."""
    start = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("Europe/Berlin"))
    stop = start.replace(day=start.day + days)
    return range(int(start.timestamp()), int(stop.timestamp()) + 1, 300)


@pytest.mark.parametrize(
    ("day", "hours", "shown", "few"),
    [
        ("2026-10-25", 25, ["02:00", "02:00", "03:00"], ["06:00", "12:00", "18:00", "26 Oct"]),
        ("2026-03-29", 23, ["01:00", "03:00", "04:00"], ["06:00", "12:00", "18:00", "30 Mar"]),
    ],
)
def test_a_day_on_which_the_clock_changes_has_evenly_spaced_hours(
    page: Page, day: str, hours: int, shown: list[str], few: list[str]
) -> None:
    times = _day(day)
    assert len(times) == hours * 12 + 1
    chart = _line(times, [100.0 + n % 7 for n in range(len(times))], day)
    _resize(page, (2600, 700))
    axis = _times(_draw(page, chart))
    texts = [label["text"] for label in axis]
    assert len(texts) == hours  # of 26, or 24: the first one would be cut
    assert any(texts[n : n + 3] == shown for n in range(len(texts)))
    distances = [right["x"] - left["x"] for left, right in itertools.pairwise(axis)]
    assert max(distances) - min(distances) <= 1
    # In a narrow window the labels stand at round hours on both sides of the change.
    _resize(page, (380, 700))
    assert _texts(_draw(page, replace(chart, view="few"))) == few


def test_the_labels_of_a_week_with_a_clock_change_are_midnights(page: Page) -> None:
    times = _day("2026-10-22", 7)
    texts = _texts(_draw(page, _line(times, [1.0 + n for n in range(len(times))], "week")))
    assert texts == [f"{day} Oct" for day in range(23, 30)]


@pytest.mark.parametrize("is_log", [False, True])
@pytest.mark.parametrize(
    ("values", "label"),
    [
        ([1.1e-9, 1.3e-9], "$0.00000000120"),
        ([98_765.4, 99_765.4], "$99,000"),
        ([1.0, 1.0001], "$1.00004"),
        ([2e-7, 3e4], "$1"),
    ],
)
def test_prices_of_every_size_have_distinct_labels(
    page: Page, values: list[float | None], label: str, is_log: bool
) -> None:
    if not is_log and label == "$1":
        label = "$10,000"
    chart = _line(_day("2026-11-20")[:2], values, label)
    prices = _prices(_draw(page, replace(chart, is_log=is_log)))
    assert len(prices) >= 4
    assert len(set(prices)) == len(prices)
    assert label in prices


def test_one_point_no_point_and_unknown_values_are_drawn(page: Page) -> None:
    times = _day("2026-11-20")
    none = page.get_by_text("No prices in this period.")
    assert "$5.0" in _prices(_draw(page, _line(times[:1], [5.0], "one")))
    assert not none.is_visible()
    _draw(page, _line([], [], "none"))
    assert none.is_visible()
    chart = _line(times[:5], [1.0, None, float("nan"), float("inf"), 2.0], "unknown")
    assert _describe(chart)["series"][0]["values"] == [1.0, None, None, None, 2.0]
    assert not [text for text in _prices(_draw(page, chart)) if "NaN" in text]
    assert not none.is_visible()


def _drag(page: Page, left: int, right: int) -> None:
    box = page.locator(".u-over").bounding_box()
    assert box
    page.mouse.move(box["x"] + left, box["y"] + 90)
    page.mouse.down()
    page.mouse.move(box["x"] + right, box["y"] + 90, steps=4)
    page.mouse.up()


def test_a_drag_zooms_in_time_until_the_viewer_returns_and_a_refresh_keeps_it(page: Page) -> None:
    times = _day("2026-11-20")
    chart = _line(times, [100.0 + n for n in range(len(times))], "zoom")
    whole = _texts(_draw(page, chart))
    reset = page.get_by_role("button", name="Whole range")
    _drag(page, 300, 500)
    reset.wait_for()
    newer = replace(chart, series=[replace(chart.series[0], times=[*times[1:], times[-1] + 300])])
    zoomed = _texts(_draw(page, newer))
    assert zoomed != whole
    assert reset.is_visible()
    reset.click()
    assert _texts(_draw(page, chart)) == whole
    _drag(page, 300, 500)
    reset.wait_for()
    page.locator(".u-over").dblclick()
    reset.wait_for(state="hidden")
    _drag(page, 300, 500)
    _draw(page, replace(chart, view="another coin"))
    assert not page.get_by_role("button", name="Whole range").is_visible()


def test_the_keyboard_reads_and_zooms(page: Page) -> None:
    times = _day("2026-11-20")
    _draw(page, _line(times, [100.0 + n for n in range(len(times))], "keys"))
    tip = page.locator(".ms-tip")
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    assert "Price $388.00" in tip.inner_text()
    page.keyboard.press("ArrowLeft")
    assert "Price $387.00" in tip.inner_text()
    page.keyboard.press("Shift+ArrowLeft")
    assert "Price $377.00" in tip.inner_text()
    page.keyboard.press("+")
    page.get_by_role("button", name="Whole range").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Whole range").wait_for(state="hidden")
    assert tip.is_hidden()


def test_on_a_phone_the_tooltip_stands_beside_the_finger_and_names_the_marks(page: Page) -> None:
    times = _day("2026-11-20")
    mark = Mark(times[40], 140.0, "Fall: <b>5%</b>", "down", "fall")
    chart = _line(times, [100.0 + n for n in range(len(times))], "phone")
    _resize(page, PHONE)
    _draw(page, replace(chart, marks=[mark]))
    over, tip = page.locator(".u-over").bounding_box(), page.locator(".ms-tip")
    assert over
    for share in (0.05, 40 / 288, 0.49, 0.95):
        x = over["x"] + share * over["width"]
        page.mouse.move(x, over["y"] + 40)
        box = tip.bounding_box()
        assert box
        assert not box["x"] <= x <= box["x"] + box["width"]
        assert 0 <= box["x"] <= PHONE[0] - box["width"]
        assert ("Fall: <b>5%</b>" in tip.inner_text()) == (share == 40 / 288)


def test_one_finger_reads_and_two_fingers_zoom(page: Page) -> None:
    times = _day("2026-11-20")
    chart = _line(times, [100.0 + n for n in range(len(times))], "touch")
    _resize(page, PHONE)
    whole = _texts(_draw(page, chart))
    page.evaluate(TOUCH, [[100], [160]])
    page.evaluate(TWO_FRAMES)
    assert "Price $" in page.locator(".ms-tip").inner_text()
    page.evaluate(TOUCH, [[100, 200], [60, 260]])
    page.get_by_role("button", name="Whole range").click()
    assert _texts(_draw(page, chart)) == whole
