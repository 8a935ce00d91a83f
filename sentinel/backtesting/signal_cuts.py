"""Check the signal of a whole series for look-ahead. Pure.

A signal is causal if its first part stays the same when the later prices are cut off. Early cuts
compare it with the signal of the run: statistics over the whole series show there, and averages
that begin with later values. The cuts of the rest lie in short stretches, so that a long series
costs little, and two keep all earlier prices, for strategies that need many. A signal that looks
one price ahead shows only at the last price before a cut, so most cuts follow a change of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from sentinel.backtesting.lookahead import TOLERANCE, Difference, Findings
from sentinel.backtesting.price_series import Flags, Floats, PriceSeries
from sentinel.errors import ConfigurationError

# Returns one number for each point of a series. Raises ConfigurationError if that fails.
ComputeSignal = Callable[[PriceSeries], Floats]

EARLY_CUTS = 12
STRETCHES = 6  # one cut in each
LATE_CUTS = 2
SHORTEST_CUT = 2  # prices
LONGEST_EARLY_CUT = 250_000
# A stretch is a twentieth of the series, within these limits of its length.
SHORTEST_STRETCH, LONGEST_STRETCH = 500, 50_000
# A suspected difference must persist when all prices are moved by up to this fraction: rounding
# errors decide a comparison only where its two sides are equal.
JITTER = 1e-7
# A signal that still differs in the last tenth of a stretch has not settled.
SETTLED_SHARE = 0.9


def check_signals(
    compute: ComputeSignal,
    series: Mapping[str, PriceSeries],
    signals: Mapping[str, Floats],
    dice: np.random.Generator,
) -> Findings:
    """Return the findings on a strategy that computes its signal for whole series.

    `signals` are those of the run, by coin.
    """
    check = _Check(compute, dice)
    coin_ids = [str(coin_id) for coin_id in dice.permutation(list(series))]
    difference = check.find_difference(coin_ids, series, signals)
    warm_up = None if difference else check.measure_warm_up(coin_ids, series, signals)
    return Findings(check.cuts, difference, check.is_deterministic, warm_up=warm_up)


@dataclass(slots=True)
class _Check:
    compute_signal: ComputeSignal
    dice: np.random.Generator
    cuts: int = 0
    is_deterministic: bool = True
    # The lengths at which the strategy failed, and at which it did not.
    failed: list[int] = field(default_factory=list)
    worked: list[int] = field(default_factory=list)
    # (coin, first index, signal) of each stretch.
    stretches: list[tuple[str, int, Floats]] = field(default_factory=list)

    def compute(self, series: PriceSeries) -> Floats:
        """Return the signal; NaN counts as 0, as the engine counts it."""
        return np.nan_to_num(self.compute_signal(series))

    def find_difference(
        self,
        coin_ids: list[str],
        series: Mapping[str, PriceSeries],
        signals: Mapping[str, Floats],
    ) -> Difference | None:
        """Return the first difference of all cuts, or None."""
        failures: list[tuple[int, Difference]] = []
        for coin_id, whole, signal, length in self._iterate_cuts(coin_ids, series, signals):
            self.cuts += 1
            try:
                part = self.compute(head(whole, length))
            except ConfigurationError:  # may need more prices; see below
                self.failed.append(length)
                at = float(whole.times[length - 1])
                failures.append((length, Difference(coin_id, at, float(signal[length - 1]), None)))
                continue
            self.worked.append(length)
            differs = _differ(signal[:length], part)
            if not differs.any() or not self._persists(whole, length):
                continue
            index = int(np.argmax(differs))
            if (
                _differ(self.compute(whole), signal).any()
                or _differ(self.compute(head(whole, length)), part).any()
            ):
                self.is_deterministic = False
            return Difference(
                coin_id, float(whole.times[index]), float(signal[index]), float(part[index])
            )
        # It fails on few prices, which is a warm-up. If it fails on more than it works on, it
        # needs the later ones.
        enough = min(self.worked, default=0)
        return next((found for length, found in failures if length > enough), None)

    def _iterate_cuts(
        self,
        coin_ids: list[str],
        series: Mapping[str, PriceSeries],
        signals: Mapping[str, Floats],
    ) -> Iterator[tuple[str, PriceSeries, Floats, int]]:
        """Yield (coin, series, its signal, length of the part before the cut)."""
        for n in range(EARLY_CUTS):
            coin_id = coin_ids[n % len(coin_ids)]
            whole, signal = series[coin_id], np.nan_to_num(signals[coin_id])
            longest = max(SHORTEST_CUT, min(len(whole) // 6, LONGEST_EARLY_CUT))
            growth = (longest / SHORTEST_CUT) ** (1 / (EARLY_CUTS - 1))
            length = round(SHORTEST_CUT * growth**n)
            if n % 2:
                length = self._choose_length(signal, round(length / growth) + 1, length)
            if length < len(whole):
                yield coin_id, whole, signal, length
        for n in range(STRETCHES):
            coin_id = coin_ids[n % len(coin_ids)]
            whole = series[coin_id]
            size = min(len(whole), LONGEST_STRETCH, max(SHORTEST_STRETCH, len(whole) // 20))
            # One in each sixth of the places, so that no large part is left out.
            first = int((len(whole) - size + 1) * (n + self.dice.random()) / STRETCHES)
            stretch = slice_series(whole, first, first + size)
            signal = self.compute(stretch)
            self.stretches.append((coin_id, first, signal))
            if size > SHORTEST_CUT:
                yield coin_id, stretch, signal, self._choose_length(signal, SHORTEST_CUT, size - 1)
        for n in range(LATE_CUTS):
            coin_id = coin_ids[n % len(coin_ids)]
            whole, signal = series[coin_id], np.nan_to_num(signals[coin_id])
            edges = np.linspace(len(whole) / 6, len(whole) - 1, LATE_CUTS + 1).astype(int).tolist()
            if SHORTEST_CUT <= edges[n] < len(whole):
                yield coin_id, whole, signal, self._choose_length(signal, edges[n], edges[n + 1])

    def _choose_length(self, signal: Floats, shortest: int, longest: int) -> int:
        """Return the length of a part that ends with a change of the signal, if there is one."""
        part = signal[shortest - 2 : longest]
        lengths = shortest + np.flatnonzero(_differ(part[1:], part[:-1]))
        if len(lengths):
            return int(self.dice.choice(lengths))
        return int(self.dice.integers(shortest, max(shortest, longest) + 1))

    def _persists(self, whole: PriceSeries, length: int) -> bool:
        """Return whether there is a difference as well after all prices have moved a little."""
        for _ in range(2):
            moved = _jitter(whole, self.dice)
            part = self.compute(head(moved, length))
            if not _differ(self.compute(moved)[:length], part).any():
                return False
        return True

    def measure_warm_up(
        self,
        coin_ids: list[str],
        series: Mapping[str, PriceSeries],
        signals: Mapping[str, Floats],
    ) -> int | None:
        """Return how many prices make earlier ones irrelevant, or None if all matter.

        The signal of a stretch differs from that of the run as long as it lacks earlier prices.
        """
        shortened = [entry for entry in self.stretches if entry[1] > 0]
        found = [_count_unsettled(signals[coin], first, own) for coin, first, own in shortened]
        if not found or None in found:
            coin_id = max(coin_ids, key=lambda one: min(len(series[one]), LONGEST_STRETCH))
            first = len(series[coin_id]) // 4
            stop = min(len(series[coin_id]), first + LONGEST_EARLY_CUT)
            own = self.compute(slice_series(series[coin_id], first, stop))
            found = [_count_unsettled(signals[coin_id], first, own)] if first else [0]
        longest = max((length for length in self.failed), default=0)
        known = [count for count in found if count is not None]
        return max([*known, longest + 1 if longest else 0]) if len(known) == len(found) else None


def head(series: PriceSeries, length: int) -> PriceSeries:
    """Return the first points of a series."""
    return slice_series(series, 0, length)


def slice_series(series: PriceSeries, first: int, stop: int) -> PriceSeries:
    """Return the points from the index `first` to before `stop`, as copies.

    A view would lead a strategy to the later prices.
    """
    where = slice(first, stop)
    return PriceSeries(
        series.times[where].copy(),
        series.prices[where].copy(),
        series.is_observed[where].copy(),
        series.volumes[where].copy(),
        series.market_caps[where].copy(),
    )


def _differ(one: Floats, other: Floats) -> Flags:
    """Return where two signals are not the same."""
    return np.asarray(np.abs(one - other) > TOLERANCE)


def _jitter(series: PriceSeries, dice: np.random.Generator) -> PriceSeries:
    def move(column: Floats) -> Floats:
        return np.asarray(column * (1 + JITTER * dice.uniform(-1, 1, len(column))))

    return replace(
        series,
        prices=move(series.prices),
        volumes=move(series.volumes),
        market_caps=move(series.market_caps),
    )


def _count_unsettled(signal: Floats, first: int, shortened: Floats) -> int | None:
    """Return how many prices from `first` on a signal without earlier prices needs to settle."""
    own = np.nan_to_num(signal[first : first + len(shortened)])
    differing = np.flatnonzero(_differ(own, shortened))
    if not len(differing):
        return 0
    last = int(differing[-1])
    return last + 2 if last < SETTLED_SHARE * len(shortened) else None
