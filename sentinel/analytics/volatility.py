"""The volatility of a coin from its prices, robust against single jumps and noise. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

DAY_SECONDS = 86_400.0
# Returns are taken over at least this long: the noise between two ticks is no volatility.
RETURN_SECONDS = 1800.0
# A return counts as this many standard deviations at most.
MAX_DEVIATIONS = 4.0
# Older returns lose half of their weight. With it, half of the long variance is 14 days old.
LONG_HALF_LIFE_SECONDS = 14 * DAY_SECONDS
# A new coin starts with the volatility of a large coin, 4 % a day. The prior weighs as much as six
# hours of observations.
PRIOR_SECONDS = 6 * 3600.0
PRIOR_VARIANCE = 0.04**2 / DAY_SECONDS  # per second


@dataclass(slots=True)
class Volatility:
    """Decaying sums of the squared log returns and of the seconds that they cover."""

    # UNIX seconds and USD at the end of the last return.
    at: float = 0.0
    price_usd: float = 0.0
    long_squares: float = PRIOR_VARIANCE * PRIOR_SECONDS
    long_seconds: float = PRIOR_SECONDS
    short_squares: float = PRIOR_VARIANCE * PRIOR_SECONDS
    short_seconds: float = PRIOR_SECONDS
    # The geometric mean of the long and the short variance, per second.
    variance: float = PRIOR_VARIANCE

    def learn(self, at: float, price: float, short_half_life: float) -> None:
        """Process a price (UNIX seconds, USD); `short_half_life` is in seconds."""
        if self.price_usd <= 0:
            self.at, self.price_usd = at, price
        seconds = at - self.at
        if seconds < RETURN_SECONDS:
            return
        limit = MAX_DEVIATIONS**2 * self.long_squares / self.long_seconds * seconds
        square = min(limit, math.log(price / self.price_usd) ** 2)
        self.at, self.price_usd = at, price
        decay = 0.5 ** (seconds / LONG_HALF_LIFE_SECONDS)
        self.long_squares = self.long_squares * decay + square
        self.long_seconds = self.long_seconds * decay + seconds
        decay = 0.5 ** (seconds / short_half_life)
        self.short_squares = self.short_squares * decay + square
        self.short_seconds = self.short_seconds * decay + seconds
        long = self.long_squares / self.long_seconds
        self.variance = math.sqrt(long * self.short_squares / self.short_seconds)

    def sigma(self, seconds: float) -> float:
        """Return the standard deviation of the log return over so many seconds."""
        return math.sqrt(self.variance * seconds)
