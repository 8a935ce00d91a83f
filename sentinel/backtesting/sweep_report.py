"""What a sweep found: its winners on unseen days, and the neighborhood of the last one. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sentinel.backtesting.walk_forward import CandidateResult, SweepResult

Value = float | str


@dataclass(frozen=True, slots=True)
class HeatMap:
    """The winner's strategy over the two parameters with the most values.

    All other parameters have the winner's value. With one parameter there is a single row.
    """

    across: str
    down: str | None
    columns: Sequence[Value]
    rows: Sequence[Value | None]
    # By (value across, value down). A combination that is invalid is missing.
    cells: Mapping[tuple[Value, Value | None], CandidateResult]


def describe_unseen(result: SweepResult) -> str:
    """Return what the winners returned on days they had not seen, as a sentence.

    The returns of the test blocks are compounded.
    """
    own = _compound([fold.test_return for fold in result.folds])
    hold = _compound([fold.buy_and_hold_return for fold in result.folds])
    winners = (
        "the winner" if len(result.folds) == 1 else f"the winners of {len(result.folds)} folds"
    )
    return f"On days not seen before, {winners} {_tell(own)}; buy and hold {_tell(hold)}."


def build_heat_map(result: SweepResult) -> HeatMap | None:
    """Return the neighborhood of the sweep's winner; None if it has no parameter of two values."""
    winner = result.folds[-1].winner.candidate
    own = [one for one in result.table if one.candidate.name == winner.name]
    values = {
        name: sorted({one.candidate.parameters[name] for one in own}, key=_sort_key)
        for name in winner.parameters
    }
    varied = sorted(
        (name for name in values if len(values[name]) > 1), key=lambda n: -len(values[n])
    )
    if not varied:
        return None
    across, down = varied[0], varied[1] if len(varied) > 1 else None
    cells = {}
    for one in own:
        parameters = one.candidate.parameters
        if all(parameters[name] == winner.parameters[name] for name in varied[2:]):
            cells[parameters[across], parameters[down] if down else None] = one
    return HeatMap(across, down, values[across], values[down] if down else [None], cells)


def format_value(value: Value | None) -> str:
    """Return a parameter's value as it is typed."""
    return f"{value:g}" if isinstance(value, (int, float)) else value or ""


def _compound(returns: Sequence[float]) -> float:
    return math.prod(1 + each for each in returns) - 1


def _tell(change: float) -> str:
    return f"{'lost' if change < 0 else 'gained'} {abs(change):.1%}"


def _sort_key(value: Value) -> tuple[bool, Value]:
    return isinstance(value, str), value
