"""A large step of the price counts once the next observation confirms it. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Confirmation:
    """Drops single wrong observations: a large step that is gone at the next observation."""

    # The last confirmed price in USD. 0: none yet.
    price_usd: float = 0.0
    # A price after a large step, which waits for the next observation.
    held_usd: float | None = None

    def confirm(self, price: float, max_step: float) -> float | None:
        """Return the confirmed price after an observation; None while a large step waits.

        A step larger than `max_step` (a fraction) is confirmed by a second one in the same
        direction, and only as far as both go.
        """
        before, held = self.price_usd, self.held_usd
        self.held_usd = None
        step = price / before - 1 if before else 0.0
        if abs(step) > max_step:
            if held is None or (held - before) * step <= 0:
                self.held_usd = price
                return None
            if abs(held - before) < abs(price - before) and abs(price / held - 1) > max_step:
                self.held_usd, price = price, held
        self.price_usd = price
        return price
