"""The portfolio: net worth, profit, holdings."""

from __future__ import annotations

from decimal import Decimal

from sentinel.notifications.messages import without_links
from services.api_client import Json
from services.telegram.conversation import Context, Reply

SHOWN_HOLDINGS = 12


def answer_portfolio(context: Context, _argument: str) -> Reply:
    """Return net worth, profit and the most valuable holdings."""
    portfolio = context.read("/portfolio")
    title, holdings = context.text("portfolio"), portfolio["holdings"]
    if not holdings:
        return Reply(context.text("no_portfolio"), title=title)
    lines = [
        _format_both(context, portfolio["net_worth_usd"], portfolio["net_worth_idr"]),
        context.text("day_profit", amount=_format_profit(context, portfolio["day_profit"])),
        context.text("total_profit", amount=_format_profit(context, portfolio["total_profit"])),
        *(_describe_holding(context, holding) for holding in holdings[:SHOWN_HOLDINGS]),
    ]
    if len(holdings) > SHOWN_HOLDINGS:
        lines.append(context.text("more", count=len(holdings) - SHOWN_HOLDINGS))
    if portfolio["missing"]:
        lines.append(context.text("missing", names=", ".join(portfolio["missing"])))
    times = [holding["observed_at"] for holding in holdings if holding["observed_at"]]
    if times:
        lines.append(context.text("oldest_price", age=context.describe_time(min(times))))
    return Reply("\n".join(lines), title=title)


def _describe_holding(context: Context, holding: Json) -> str:
    formatter = context.formatter
    quantity = formatter.format_quantity(Decimal(holding["quantity"]))
    value = _format_usd(context, holding["value_usd"])
    share = f" ({formatter.format_percent(float(holding['share']))})" if holding["share"] else ""
    return f"• {without_links(holding['symbol'].upper())} {quantity}: {value}{share}"


def _format_both(context: Context, usd: str | None, idr: str | None) -> str:
    if idr is None:
        return _format_usd(context, usd)
    return f"{_format_usd(context, usd)} ({context.formatter.format_own_idr(Decimal(idr))})"


def _format_usd(context: Context, amount: str | None) -> str:
    if amount is None:
        return context.text("unknown_amount")
    return context.formatter.format_own_usd(Decimal(amount))


def _format_profit(context: Context, profit: Json) -> str:
    return _format_both(context, profit["usd"], profit["idr"])
