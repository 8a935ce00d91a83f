"""The equity curve of a paper-trading wallet, with its trades."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping, Sequence

from services.api_client import Json
from services.dashboard.elements.chart import Chart, LegendEntry, Mark, Series, to_seconds
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr


def build_equity_chart(
    formatter: Formatter, wallet: str, detail: Json, names: Mapping[str, str]
) -> Chart:
    """Return a wallet's value over time beside buy and hold; `names` are of coins by id."""
    curve = detail["curve"]
    times = [to_seconds(point["valued_at"]) for point in curve]
    marks = list(_mark_trades(formatter, detail, times, names))
    return Chart(
        label=tr("Value of the wallet {name}", name=wallet),
        series=[
            _build_line(formatter, curve, times, "value_usd", tr("Wallet"), is_own=True),
            _build_line(formatter, curve, times, "buy_and_hold_usd", tr("Buy and hold")),
        ],
        unit=formatter.currency,
        marks=marks,
        legend=list(_list_legend(marks)),
        floor=0.01,
        view=wallet,
        height=340,
    )


def _build_line(
    formatter: Formatter,
    curve: Sequence[Json],
    times: Sequence[int],
    key: str,
    name: str,
    *,
    is_own: bool = False,
) -> Series:
    return Series(
        name=name,
        kind="line" if is_own else "dashes",
        color="price" if is_own else "fourth",
        times=times,
        values=[formatter.convert_usd(point[key]) for point in curve],
    )


def _mark_trades(
    formatter: Formatter, detail: Json, times: Sequence[int], names: Mapping[str, str]
) -> Iterator[Mark]:
    """Yield the trades at the wallet's value at the last point of the curve before each."""
    for trade in detail["trades"]:
        if trade["side"] == "close" or not times:
            continue
        at = to_seconds(trade["traded_at"])
        value_usd = detail["curve"][max(0, bisect.bisect_right(times, at) - 1)]["value_usd"]
        name = names.get(trade["coin_id"], trade["coin_id"])
        price = formatter.price(float(trade["price_usd"]))
        value = formatter.convert_usd(value_usd)
        if trade["side"] == "buy":
            text = tr("{coin} bought at {price}", coin=name, price=price)
            yield Mark(at, value, text, "up", "rise")
        else:
            text = tr("{coin} sold at {price}", coin=name, price=price)
            yield Mark(at, value, text, "down", "fall")


def _list_legend(marks: Sequence[Mark]) -> Iterator[LegendEntry]:
    shapes = {mark.shape for mark in marks}
    if "up" in shapes:
        yield LegendEntry(tr("bought"), "rise", "up")
    if "down" in shapes:
        yield LegendEntry(tr("sold"), "fall", "down")
