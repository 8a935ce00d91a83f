"""The growth of 100 day by day, time-weighted: payments do not move it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from services.api.portfolio.arithmetic import exact_arithmetic
from services.api.portfolio.price_book import Currency, PriceBook, ReturnUnavailable
from services.api.portfolio.timeline import Flow, Snapshot
from services.api.portfolio.valued_flows import value_flow

START = Decimal(100)


@exact_arithmetic()
def compute_growth_line(
    days: Iterable[Snapshot], flows: Sequence[Flow], book: PriceBook, currency: Currency = "usd"
) -> list[Decimal | None]:
    """Return the growth of 100 from the first day that can be valued; None: a price is missing.

    After a payment that cannot be valued, the line begins again.
    """
    line: list[Decimal | None] = []
    level, opening = START, None
    waiting = list(flows)[::-1]
    for day in days:
        while waiting and waiting[-1].at <= day.at:
            point = value_flow(waiting.pop(), book, currency)
            if isinstance(point, str):
                line, level, opening = [], START, None
            elif opening is not None:
                level *= point.closing / opening if opening > 0 else 1
                opening = point.opening
        try:
            value = book.value(day.held, day.at, currency)
        except ReturnUnavailable:
            line.append(None)
            continue
        if opening is None:
            opening = value
        line.append(level * value / opening if opening > 0 else level)
    while line and line[0] is None:
        line.pop(0)
    return line
