# ruff: noqa: E501 (lines of the product)
"""Plants faults in the product, one line each, and shows which seed of the simulation finds them.

    python -m tests.planted_faults [TEXT]

TEXT chooses the faults whose promise or file contains it. The command ends in 1 if SEEDS seeds of
DAYS days each do not find a fault.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.mutations import Mutation, copy_of_checkout

SEEDS = 10
DAYS = 6
SIMULATION = "simulation"

FAULTS = (
    Mutation(
        "the spool keeps rows until they are stored",
        "pipeline/store.py",
        "                run.loaded = load_run(run, registry, spool, left_behind, session)",
        "                spool.discard(); run.loaded = load_run(run, registry, spool, left_behind, session)",
        SIMULATION,
    ),
    Mutation(
        "the next run loads what a run left in the spool before it removes it",
        "pipeline/load.py",
        "            drained = spool.shared_spool.read(left_behind, window)",
        "            list(spool.shared_spool.read(left_behind, window))",
        SIMULATION,
    ),
    Mutation(
        "two runs write the usage log one after the other",
        "sentinel/budget/usage_log.py",
        "        with exclusive_lock(path):",
        "        if True:",
        SIMULATION,
    ),
    Mutation(
        "a run keeps the health changes that another run wrote meanwhile",
        "coin_registry.py",
        "                self._merge_newer(path)",
        "                pass",
        SIMULATION,
    ),
    Mutation(
        "no day inside the 60-day window is dropped",
        "sentinel/storage/retention.py",
        "    oldest_kept = (now - RETENTION).astimezone(UTC).date()",
        "    oldest_kept = (now - RETENTION + timedelta(days=1)).astimezone(UTC).date()",
        SIMULATION,
    ),
    Mutation(
        "a day is dropped as soon as it is beyond the window",
        "sentinel/storage/retention.py",
        "    oldest_kept = (now - RETENTION).astimezone(UTC).date()",
        "    oldest_kept = (now - RETENTION - timedelta(days=1)).astimezone(UTC).date()",
        SIMULATION,
    ),
    Mutation(
        "the backfill keeps to its credits of a day",
        "sentinel/budget/coingecko_credits.py",
        "    granted = math.floor(_credit_pace(inside, at).affordable_backfill(quota, per_day, spent))",
        "    granted = 1 + math.floor(_credit_pace(inside, at).affordable_backfill(quota, per_day, spent))",
        SIMULATION,
    ),
    Mutation(
        "a day is dropped only if the archive holds it",
        "sentinel/storage/retention.py",
        "        if archived is not None and day not in archived:",
        "        if False:",
        SIMULATION,
    ),
    Mutation(
        "strikes of two runs for one coin add up",
        "sentinel/coin_health.py",
        "    strikes = max(ours.strikes + theirs.strikes - base.strikes, ours.strikes, theirs.strikes)",
        "    strikes = max(ours.strikes, theirs.strikes)",
        SIMULATION,
    ),
)


def find_seed(mutation: Mutation, days: float = DAYS) -> dict[str, Any] | None:
    """Plant a fault in a copy of this checkout; return the result of the first seed that finds it."""
    with copy_of_checkout() as root:
        mutation.apply(root)
        for seed in range(1, SEEDS + 1):
            result = simulate(root, seed, days)
            if result["problem"]:
                return result
    return None


def simulate(root: Path, seed: int, days: float) -> dict[str, Any]:
    """Return the result of one simulation of a checkout."""
    command = [sys.executable, "-m", "simulation", "--one", f"--seed={seed}", f"--days={days}"]
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    ended = subprocess.run(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    result: dict[str, Any] = json.loads(ended.stdout)
    return result


def main() -> int:
    """Plant the faults one after the other and print a table."""
    wanted = sys.argv[1] if sys.argv[1:] else ""
    chosen = [fault for fault in FAULTS if wanted in fault.promise + fault.path]
    print("| promise | broken in | seed | found at | seconds |\n|---|---|---|---|---|")
    is_missed = False
    for fault in chosen:
        begin = time.monotonic()
        found = find_seed(fault)
        is_missed |= found is None
        problem = found["problem"].splitlines()[-1] if found else "not found"
        cells = (fault.promise, f"`{fault.path}`", found["seed"] if found else "-", problem)
        print(f"| {' | '.join(map(str, cells))} | {time.monotonic() - begin:.0f} |", flush=True)
    return int(is_missed)


if __name__ == "__main__":
    sys.exit(main())
