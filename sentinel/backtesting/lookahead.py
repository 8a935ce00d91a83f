"""What a check for look-ahead finds, and how it runs a strategy apart from the later prices."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

T = TypeVar("T")

CUTS = 20  # of a check
# Shares that differ by less are the same: sums of other lengths differ in their last digits.
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Difference:
    """The first price at which later prices change what a strategy wants."""

    coin_id: str
    # UNIX seconds.
    at: float
    # What it wants when it has the later prices too: a share of the cash (above 0) or of the coins.
    signal: float
    # What it wants without them; None if it fails.
    causal_signal: float | None
    # Whether the signals are shares of the value to hold in the coin instead.
    is_weight: bool = False

    def describe(self) -> str:
        """Return where it is and what differs."""
        describe = describe_weight if self.is_weight else describe_share
        without = "fails" if self.causal_signal is None else describe(self.causal_signal)
        return (
            f"on {self.coin_id} at {self.format_time()} it {describe(self.signal)}, but "
            f"without the later prices it {without}"
        )

    def format_time(self) -> str:
        """Return the time of the price."""
        return f"{datetime.fromtimestamp(self.at, UTC):%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True, slots=True)
class Findings:
    """What the cuts of a check have found."""

    cuts: int
    difference: Difference | None = None
    # Whether two runs on the same prices are equal. If not, the cuts say nothing.
    is_deterministic: bool = True
    # Whether its answer depends on what its module remembers of earlier calls.
    keeps_state: bool = False
    # How many prices the strategy must know until earlier ones change nothing; None: all of them.
    warm_up: int | None = 0


def describe_share(share: float) -> str:
    """Return what a strategy wants, such as `buys with 50% of the cash`."""
    if share > 0:
        return f"buys with {share:.4g} of the cash" if share < 1 else "buys with all cash"
    if share < 0:
        return f"sells {-share:.4g} of the coins" if share > -1 else "sells all coins"
    return "does nothing"


def describe_weight(weight: float) -> str:
    """Return what a strategy for several coins wants of one coin."""
    return f"gives the coin {weight:.4g} of the value"


def find_warm_up(longest: int, suffices: Callable[[int], bool]) -> int | None:
    """Return the smallest number of prices that suffices; 0 if one does, None if only all do.

    `longest` is the number of all prices, and `suffices` tells whether the last ones of a number
    give the same answers. It halves the number while they do, then bisects.
    """
    enough, too_few = longest, longest // 2
    while too_few and suffices(too_few):
        enough, too_few = too_few, too_few // 2
    if enough == longest:
        return None
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        enough, too_few = (middle, too_few) if suffices(middle) else (enough, middle)
    return enough if enough > 1 else 0


def run_apart(function: Callable[..., T], *arguments: object) -> T:
    """Return the function's result. A new thread calls it, whose stack holds only the arguments.

    So a strategy that searches the frames of its callers finds no later prices. Raises what the
    function raises.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function(*arguments))
        except BaseException as error:  # noqa: BLE001 - raised again by the caller
            errors.append(error)

    # A daemon: Ctrl-C ends the command although the strategy is still busy.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
