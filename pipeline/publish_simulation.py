"""Publish which seeds of the simulation passed, for the public page: `simulation.json`.

The nightly workflow runs it after all seeds of a night have passed.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import os

from pipeline.git import Git, GitError
from pipeline.pages_branch import BRANCH, PagesBranch
from safe_zone import ROOT
from sentinel.arguments import make_parser, whole_number
from sentinel.clocks import SYSTEM_CLOCKS
from sentinel.errors import EXIT_OK, SentinelError
from sentinel.process import run_as_script
from sentinel.site.status import SIMULATION_FILE, SimulationResult

MOST = 999_999_999  # the largest seed of `python -m simulation`
EPILOG = "example: python -m pipeline.publish_simulation --seed 26330000 --seeds 200 --days 7"


def main() -> int:
    """Publish the result; return 0."""
    parser = make_parser("python -m pipeline.publish_simulation", __doc__, EPILOG)
    number = whole_number(MOST)
    parser.add_argument("--seed", type=number, required=True, help="the first seed that passed")
    parser.add_argument("--seeds", type=number, required=True, help="how many passed")
    parser.add_argument("--days", type=number, required=True, help="simulated days of each seed")
    arguments = parser.parse_args()
    try:
        commit = Git(ROOT, os.environ).git("rev-parse", "HEAD")
    except GitError as error:
        raise SentinelError(f"The commit that was simulated is unknown: {error}") from error
    result = SimulationResult(
        passed_at=SYSTEM_CLOCKS.now(),
        first_seed=arguments.seed,
        seeds=arguments.seeds,
        days=arguments.days,
        commit=commit,
    )
    publish_simulation(PagesBranch.of_clone(ROOT, os.environ), result)
    print(f"published {SIMULATION_FILE} on {BRANCH}")
    return EXIT_OK


def publish_simulation(branch: PagesBranch, result: SimulationResult) -> None:
    """Replace the branch's `simulation.json`; all other files stay.

    Raises ConfigurationError if the remote refuses, SentinelError if it cannot be reached.
    """
    content = result.model_dump_json(indent=1).encode()
    branch.replace_files(lambda _read: {SIMULATION_FILE: content})


if __name__ == "__main__":
    run_as_script(main)
