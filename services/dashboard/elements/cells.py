"""Cells of tables: the value to sort by and the text to show."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from sentinel.amounts import Currency
from services.dashboard.elements.table import Cell
from services.dashboard.formatting import Formatter

NumberCell = tuple[float | None, str]
# A sparkline's heights are sent as whole numbers up to this one.
FULL_HEIGHT = 100


def number_cell(value: float | None, text: str) -> NumberCell:
    """Return a cell of kind `number` or `change`, or of a `bar` whose value is a share of 1."""
    return (value, text)


def time_cell(formatter: Formatter, time: str | datetime | None) -> NumberCell:
    """Return a time in the viewer's zone."""
    at = datetime.fromisoformat(time) if isinstance(time, str) else time
    return number_cell(at.timestamp() if at else None, formatter.time(at))


def age_cell(formatter: Formatter, time: str | None) -> NumberCell:
    """Return how long ago a time was, the youngest first."""
    at = None if time is None else -datetime.fromisoformat(time).timestamp()
    return number_cell(at, formatter.age(time))


def count_cell(formatter: Formatter, number: float | None) -> NumberCell:
    """Return a whole number."""
    return number_cell(number, formatter.count(number))


def percent_cell(
    formatter: Formatter, fraction: float | None, *, signed: bool = True
) -> NumberCell:
    """Return a fraction of one as a percentage; a change is signed."""
    return number_cell(fraction, formatter.percent(fraction, signed=signed))


def price_cell(formatter: Formatter, usd: float | str | None) -> NumberCell:
    """Return a public price in the viewer's currency."""
    value = None if usd is None else float(usd)
    return number_cell(value, formatter.price(value))


def own_cell(formatter: Formatter, number: str | Decimal | None, text: str) -> NumberCell:
    """Return a number of the viewer's own. The order would tell how large a hidden one is."""
    if number is None or formatter.hide_amounts:
        return number_cell(None, text)
    return number_cell(float(number), text)


def amount_cell(
    formatter: Formatter, amount: str | Decimal | None, currency: Currency, *, signed: bool = False
) -> NumberCell:
    """Return an amount of the viewer's own money."""
    return own_cell(formatter, amount, formatter.own_amount(amount, currency, signed=signed))


def badge_cell(rank: float, text: str, tone: str) -> Cell:
    """Return a badge, sorted by `rank`; `tone` is ok, warning, unhealthy or muted."""
    return (rank, text, tone)


def line_cell(
    values: Sequence[float | None], change: float | None = None, floor: float = 0.01
) -> Cell:
    """Return a sparkline, in the color of `change` or else of the change of its values.

    Its height stands for at least the share `floor` of the price: the noise of a stablecoin must
    not look like a crash.
    """
    known = [value for value in values if value is not None]
    if not known:
        return (None, [])
    low, high = min(known), max(known)
    span = max(high - low, floor * high) or 1.0
    base = (low + high - span) / 2
    heights = [
        None if value is None else round((value - base) / span * FULL_HEIGHT) for value in values
    ]
    if change is None and known[0]:
        change = known[-1] / known[0] - 1
    return (change, heights)
