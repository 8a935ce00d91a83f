"""What the chart of a coin marks: alerts, own transactions, price targets, and its legend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from services.api_client import Json
from services.dashboard.coin.history import HistoryPoints
from services.dashboard.coin.price_target_texts import convert_target, format_target_price
from services.dashboard.coin.transactions import describe_transaction
from services.dashboard.elements.chart import (
    Band,
    Color,
    LegendEntry,
    Level,
    Mark,
    Span,
    to_seconds,
)
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr


def build_levels(
    formatter: Formatter, targets: Sequence[Json], convert: Callable[[float], float]
) -> Iterator[Level]:
    """Yield the open price targets."""
    for target in targets:
        price_usd = convert_target(formatter, target)
        if target["state"] == "open" and price_usd is not None:
            text = tr("target {price}", price=format_target_price(target))
            yield Level(convert(price_usd), text, "third")


def mark_alerts(
    formatter: Formatter, alerts: Sequence[Json], convert: Callable[[float], float]
) -> Iterator[Mark]:
    """Yield the alerts as triangles in the direction of the move."""
    for alert in alerts:
        is_fall = alert["kind"] == "panic"
        yield Mark(
            to_seconds(alert["observed_at"]),
            convert(alert["price_usd"]),
            tr("Alert {move}: {why}", move=formatter.percent(alert["move"]), why=alert["why"]),
            "down" if is_fall else "up",
            "fall" if is_fall else "rise",
        )


def mark_transactions(
    formatter: Formatter,
    transactions: Sequence[Json],
    points: HistoryPoints,
    convert: Callable[[float], float],
) -> Iterator[Mark]:
    """Yield own transactions. The height of a mark tells no price if own amounts are hidden."""
    for transaction in transactions:
        at = to_seconds(transaction["made_at"])
        price_usd = points.find_price(at)
        if not formatter.hide_amounts and float(transaction["price_usd"]):
            price_usd = float(transaction["price_usd"])
        if price_usd is not None:
            color: Color = "rise" if float(transaction["quantity"]) > 0 else "fall"
            text = describe_transaction(formatter, transaction)
            yield Mark(at, convert(price_usd), text, "square", color)


def list_legend(
    spans: Sequence[Span], bands: Sequence[Band], marks: Sequence[Mark]
) -> Iterator[LegendEntry]:
    """Yield what the chart contains besides its series."""
    kinds = {span.kind for span in spans}
    if "gap" in kinds:
        yield LegendEntry(tr("gap"), "gap", "gap")
    if "backfilled" in kinds:
        yield LegendEntry(tr("backfilled"), "backfilled", "backfilled")
    if bands:
        yield LegendEntry(tr("4 of 5 prices"), "forecast", "band")
    names: dict[tuple[str, str], str] = {
        ("down", "fall"): tr("alert: fall"),
        ("up", "rise"): tr("alert: rise"),
        ("square", "rise"): tr("own purchase"),
        ("square", "fall"): tr("own sale"),
    }
    for mark in {(mark.shape, mark.color): mark for mark in marks}.values():
        yield LegendEntry(names[mark.shape, mark.color], mark.color, mark.shape)
