"""Flows valued at the prices of their times. Pure."""

from __future__ import annotations

from decimal import Decimal

from services.api.portfolio.price_book import Currency, PriceBook, ReturnUnavailable, format_date
from services.api.portfolio.returns import Point
from services.api.portfolio.timeline import Flow


def get_payment(flow: Flow, currency: Currency) -> Decimal:
    """Return the payments of a flow in a currency. Raises ReturnUnavailable."""
    paid = flow.usd if currency == "usd" else flow.idr
    if paid is None:
        raise ReturnUnavailable(f"no rupiah rate of the payment on {format_date(flow.at)}")
    return paid


def value_flow(flow: Flow, book: PriceBook, currency: Currency) -> Point | str:
    """Return the valuation of a payment's time, or why there is none."""
    try:
        paid = get_payment(flow, currency)
        value = book.value(flow.valued, flow.at, currency)
    except ReturnUnavailable as reason:
        return str(reason)
    return Point(value, value + paid) if flow.is_inflow else Point(value - paid, value)
