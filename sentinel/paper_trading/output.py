"""What the sandbox says: results as tables for a person, and as JSON for a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal

from sentinel import console
from sentinel.backtesting import report as reports
from sentinel.backtesting import strategies
from sentinel.backtesting.price_series import Series
from sentinel.backtesting.report import Report
from sentinel.backtesting.strategies import Strategy
from sentinel.backtesting.walk_forward import Findings, Line
from sentinel.paper_trading.wallets import Event, Wallet

SHOWN_LINES = 20
SHOWN_COINS = 5
# The figures of `backtest --json`: scripts rely on these names, and that there are no others.
CONTRACT = (
    *("initial_usd", "final_usd", "return", "buy_and_hold_return", "fees_usd", "trades"),
    *("refused_fills", "max_drawdown", "sharpe"),
)


def as_json(strategy: Strategy, report: Report) -> dict[str, object]:
    """The object that `backtest --json` prints; fractions, and USD."""
    figures = reports.figures(report)
    return {"strategy": strategy.name} | {name: figures[name] for name in CONTRACT}


def show(found: Report) -> None:
    """A report's figures beside holding's and cash's, and what to know of them."""
    columns = ("", "strategy", "buy and hold", "cash")
    console.show_table(found.title, columns, reports.rows(found))
    print("\n".join(reports.notes(found)))


def coins(coin_ids: Sequence[str]) -> str:
    """The first few of them by name."""
    more = f" and {len(coin_ids) - SHOWN_COINS} more" if len(coin_ids) > SHOWN_COINS else ""
    return ", ".join(coin_ids[:SHOWN_COINS]) + more


def span(prices: Mapping[str, Series]) -> str:
    """From which day to which there are prices."""
    first = min(own.times[0] for own in prices.values())
    last = max(own.times[-1] for own in prices.values())
    return f"{_day(first)} to {_day(last)}"


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(float(seconds), UTC):%Y-%m-%d}"


def event_json(event: Event) -> dict[str, object]:
    """A line of a ledger as `trade --json` prints it, without what does not belong to its kind."""

    def plain(value: object) -> object:
        if isinstance(value, datetime):
            return value.isoformat()
        return str(value) if isinstance(value, Decimal) else value

    return {name: plain(value) for name, value in asdict(event).items() if value is not None}


def show_events(added: Mapping[str, Sequence[Event]]) -> None:
    """What a step added to each ledger."""
    for name, events in added.items():
        for event in events:
            print(f"{name}: {_line(event)}")
        if not events:
            print(f"{name}: nothing to do")


def _line(event: Event) -> str:
    at = f"{event.observed_at:%Y-%m-%d %H:%M}"
    side = "buy" if (event.share or 0) > 0 else "sell"
    if event.kind == "ordered":
        what = "the cash" if side == "buy" else "the coins"
        return f"{at} ordered to {side} {event.coin_id} for {abs(event.share or 0):.0%} of {what}"
    if event.kind == "refused":
        return f"{at} refused to {side} {event.coin_id}: the next price was {event.reason}"
    price = console.format_number(float(event.price_usd or 0))
    return (
        f"{at} filled: {side} {abs(event.quantity or 0):.8g} {event.coin_id} at "
        f"{price} USD, fee {event.fee_usd or 0:,.2f} USD"
    )


def wallet_json(wallet: Wallet, report: Report) -> dict[str, object]:
    """What `report --json` prints of a wallet; fractions, and USD."""
    return {
        "wallet": wallet.name,
        "strategy": wallet.strategy,
        "parameters": dict(wallet.parameters),
        "opened_at": wallet.opened_at.isoformat(),
        **reports.figures(report),
    }


def show_wallets(found: Sequence[tuple[Wallet, Report]]) -> None:
    """All wallets beside each other."""
    columns = ("wallet", "strategy", "since", "USD", "return", "holding", "trades", "refused")
    rows = [
        (
            wallet.name,
            strategies.described(wallet.strategy, wallet.parameters),
            f"{wallet.opened_at:%Y-%m-%d}",
            f"{own.found.final:,.2f}",
            f"{own.found.total_return:+.2%}",
            f"{own.hold.total_return:+.2%}",
            own.found.trades,
            own.found.refused,
        )
        for wallet, own in found
    ]
    console.show_table("wallets", columns, rows)


def sweep_json(found: Findings) -> dict[str, object]:
    """The object that `sweep --json` prints: returns as fractions, one a fold, the mean of all
    coins."""

    def line(one: Line) -> dict[str, object]:
        return {
            "strategy": one.candidate.name,
            "parameters": dict(one.candidate.parameters),
            "trained_returns": list(one.trained),
            "unseen_returns": list(one.unseen),
            "trades": one.trades,
            "refused_fills": one.refused,
        }

    return {
        "coins": found.coins,
        "winner": line(found.folds[-1].winner),
        "folds": [
            {
                "begins": _moment(fold.begins),
                "trained_until": _moment(fold.trained_until),
                "judged_until": _moment(fold.judged_until),
                "strategy": fold.winner.candidate.name,
                "parameters": dict(fold.winner.candidate.parameters),
                "trained_return": fold.trained,
                "unseen_return": fold.unseen,
                "unseen_buy_and_hold_return": fold.hold,
            }
            for fold in found.folds
        ],
        "table": [line(one) for one in found.table],
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def show_sweep(found: Findings) -> None:
    """The table, the best trained first, and what each fold's winner did on unseen days."""
    lines = found.table[:SHOWN_LINES]
    title = f"{len(found.table)} candidates on {found.coins} coins, mean returns"
    if len(lines) < len(found.table):
        title += f"; the best {len(lines)} in training"
    columns = ("strategy", "in training", "unseen, each fold", "trades", "refused")
    rows = [
        (
            one.candidate.described(),
            f"{one.trained[-1]:+.2%}",
            "  ".join(f"{gain:+.2%}" for gain in one.unseen),
            one.trades,
            one.refused,
        )
        for one in lines
    ]
    console.show_table(title, columns, rows)
    for fold in found.folds:
        print(
            f"trained until {_day(fold.trained_until)}: {fold.winner.candidate.described()} with "
            f"{fold.trained:+.2%}; until {_day(fold.judged_until)}, which it had not seen, "
            f"{fold.unseen:+.2%} (holding {fold.hold:+.2%})"
        )
