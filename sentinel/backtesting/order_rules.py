"""Rules around any strategy: protective exits and the sizes of purchases. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class OrderRules:
    """When a position is sold without the strategy, and how large a purchase is.

    All values are above 0; None switches a rule off.
    """

    # Sells at a price this fraction below the entry price, or lower.
    stop_loss: float | None = None
    # Sells at a price this fraction above the entry price, or higher.
    take_profit: float | None = None
    # Sells at a price this fraction below the highest price since the entry, or lower.
    trailing_stop: float | None = None
    # A purchase spends at most this many USD.
    order_usd: float | None = None
    # The daily volatility of a position when it is bought, as a fraction of the account's value.
    order_volatility: float | None = None

    @property
    def has_size(self) -> bool:
        """Whether purchases are limited."""
        return self.order_usd is not None or self.order_volatility is not None

    def describe(self) -> str:
        """Return the rules that are on, such as `stop-loss 5%, order 500 USD`."""
        percentages = {
            "stop-loss": self.stop_loss,
            "take-profit": self.take_profit,
            "trailing-stop": self.trailing_stop,
            "order volatility": self.order_volatility,
        }
        shown = [f"{name} {100 * value:g}%" for name, value in percentages.items() if value]
        return ", ".join(shown + ([f"order {self.order_usd:,.10g} USD"] if self.order_usd else []))

    def to_json(self) -> dict[str, float]:
        """Return the rules that are on, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}
