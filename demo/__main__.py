"""`python -m demo`: the whole pipeline against the stand-in, without key, network or server.

`python -m demo serve` only serves, so that the scripts can be tried by hand; `python -m demo seed`
fills an empty database with a week of invented history, for `make up-demo`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from datetime import UTC, datetime

from demo.market import Market
from demo.server import StandIn, running
from safe_zone import ROOT, load_settings
from sentinel.process import run_as_script
from sentinel.storage.connection import resolve_database

STATE_DIR = ROOT / ".sentinel" / "demo"


def main() -> int:
    """Run the demo, or serve until stopped; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("action", nargs="?", choices=("run", "serve", "seed"), default="run")
    parser.add_argument("--port", type=int, default=0, help="default: any free port")
    parser.add_argument("--coins", type=int, default=620, help="size of the market (default 620)")
    parser.add_argument(
        "--latency-ms", type=float, default=80.0, help="of each answer (default 80)"
    )
    arguments = parser.parse_args()
    if arguments.action == "seed":
        return _seed()
    stand_in = StandIn(
        Market(arguments.coins), port=arguments.port, latency_seconds=arguments.latency_ms / 1000
    )
    if arguments.action == "serve":
        print(f"COINGECKO_BASE_URL={stand_in.base_url}", flush=True)
        stand_in.serve_forever()
    with running(stand_in):
        return _demonstrate(stand_in.base_url)


def _demonstrate(base_url: str) -> int:
    environment = os.environ | {
        "COINGECKO_BASE_URL": base_url,
        "COINGECKO_API_KEY": "demo-key-of-the-stand-in",
        "COINGECKO_IS_PRO": "",
        "DATABASE_URL": "",
        "SENTINEL_STATE_DIR": str(STATE_DIR),
        "SENTINEL_REGISTRY": str(STATE_DIR / "coin_registry.json"),
    }
    for command in (["ingest.py"], ["verify_db.py"]):
        print(f"$ python {' '.join(command)}", file=sys.stderr)
        done = subprocess.run([sys.executable, ROOT / command[0]], env=environment, check=False)
        if done.returncode:
            return done.returncode
    return 0


def _seed() -> int:
    """Needs what the monitor needs, the others do not."""
    from demo.seed import seed

    with resolve_database(load_settings()) as address:
        if not seed(address, datetime.now(UTC)):
            print("there is history already", file=sys.stderr)
    return 0


if __name__ == "__main__":
    run_as_script(main)
