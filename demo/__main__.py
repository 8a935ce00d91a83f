"""`python -m demo`: run the whole pipeline with a stand-in for CoinGecko.

It needs no key, no network and no database server, and ends with the address of the public page.
`python -m demo serve` only runs the stand-in.
`python -m demo seed` fills an empty database with a week of invented history, for `make up-demo`.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

from demo.fortnight import fill_past, make_simulation
from demo.market import Market
from demo.server import StandIn, running
from pipeline.site import write_site
from safe_zone import ROOT, load_settings
from sentinel.arguments import make_parser, number, whole_number
from sentinel.notifications.addresses import ALERT_VARIABLES
from sentinel.process import run_as_script
from sentinel.storage.connection import resolve_database

STATE_DIR = ROOT / ".sentinel" / "demo"
# What the scripts are for.
FETCH = "fetch the prices of the top 500 coins and store them"
VERIFY = "check the database and show the top coins"


def main() -> int:
    """Run the demo, or serve until stopped; return the exit code."""
    parser = make_parser(
        "python -m demo", __doc__, "example: python -m demo serve --port 8080 --latency-ms 200"
    )
    parser.add_argument("action", nargs="?", choices=("run", "serve", "seed"), default="run")
    parser.add_argument(
        "--host", default="127.0.0.1", help="where the stand-in listens (default 127.0.0.1)"
    )
    parser.add_argument(
        "--port", type=whole_number(65_535), default=0, help="of the stand-in (default: a free one)"
    )
    parser.add_argument(
        "--coins", type=whole_number(100_000), default=620, help="size of the market (default 620)"
    )
    parser.add_argument(
        "--latency-ms",
        type=number(60_000, least=0),
        default=80,
        help="delay of each response (default 80)",
    )
    arguments = parser.parse_args()
    if arguments.action == "seed":
        return _seed_database()
    stand_in = StandIn(
        Market(arguments.coins),
        host=arguments.host,
        port=arguments.port,
        latency_seconds=float(arguments.latency_ms) / 1000,
    )
    if arguments.action == "serve":
        print(f"COINGECKO_BASE_URL={stand_in.base_url}", flush=True)
        stand_in.serve_forever()
    with running(stand_in):
        return _run_demo(stand_in.base_url)


def _run_demo(base_url: str) -> int:
    """Run the scripts and write the public page; return the first exit code that is not 0."""
    environment = os.environ | {
        "COINGECKO_BASE_URL": base_url,
        "COINGECKO_API_KEY": "demo-key-of-the-stand-in",
        "COINGECKO_IS_PRO": "",
        "DATABASE_URL": "",
        "HEARTBEAT_URL": "",
        **dict.fromkeys(ALERT_VARIABLES, ""),  # invented prices are no news
        "SENTINEL_STATE_DIR": str(STATE_DIR),
        "SENTINEL_REGISTRY": str(STATE_DIR / "coin_registry.json"),
    }
    settings = load_settings(environ=environment)
    # The scripts use the server of this process, instead of starting one each.
    with resolve_database(settings) as address:
        if code := _run_script("ingest.py", FETCH, environment):
            return code
        now = datetime.now(UTC)
        fill_past(address, settings, now)
        page = write_site(
            STATE_DIR / "site", settings, now, with_market=True, simulation=make_simulation(now)
        )
        if code := _run_script("verify_db.py", VERIFY, environment):
            return code
    print(f"\nThe public page, with an invented fortnight: {page.as_uri()}")
    return 0


def _run_script(script: str, purpose: str, environment: Mapping[str, str]) -> int:
    """Run a script in a process of its own; return its exit code."""
    print(f"\n$ python {script}    # {purpose}", file=sys.stderr, flush=True)
    done = subprocess.run([sys.executable, ROOT / script], env=environment, check=False)
    return done.returncode


def _seed_database() -> int:
    # The seed imports packages of the monitor, which the other actions do not need.
    from demo.seed import seed

    settings = load_settings()
    with resolve_database(settings) as address:
        if not seed(address, datetime.now(UTC), settings.state_dir):
            print("the database already holds data: nothing was generated", file=sys.stderr)
    return 0


if __name__ == "__main__":
    run_as_script(main)
