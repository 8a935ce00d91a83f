"""The kinds of transactions by name."""

from __future__ import annotations

from services.dashboard.language import tr


def name_kinds() -> dict[str, str]:
    """Return the name of each kind, as a viewer chooses it."""
    return {
        "buy": tr("Buy"),
        "sell": tr("Sell"),
        "trade": tr("Trade"),
        "transfer": tr("Transfer"),
        "reward": tr("Reward"),
    }
