"""`python -m benchmarks [NAME ...]`: run all benchmarks, or those named."""

from __future__ import annotations

import argparse

from benchmarks import (
    alerts,
    api,
    archive,
    dashboard,
    days,
    forecasts,
    fortnight,
    load,
    registry,
    sandbox,
    warm_run,
)

ALL = {
    "warm": warm_run.main,
    "load": load.main,
    "days": days.main,
    "registry": registry.main,
    "fortnight": fortnight.main,
    "alerts": alerts.main,
    "forecasts": forecasts.main,
    "api": api.main,
    "dashboard": dashboard.main,
    "archive": archive.main,
    "sandbox": sandbox.main,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"one of {', '.join(ALL)} (default: all)"
    )
    names = parser.parse_args().names or list(ALL)
    for name in names:
        ALL[name]()


if __name__ == "__main__":
    main()
