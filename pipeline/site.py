"""Write the public page into a folder, as files for a browser, from what the database knows."""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import os
from datetime import UTC, datetime
from pathlib import Path

import budget_monitor
from pipeline.site_figures import (
    find_repository_url,
    load_registry,
    missing_packages_explained,
    page_interval,
    read_figures,
)
from safe_zone import Settings, load_settings
from sentinel.alerting.settings import load_alert_settings
from sentinel.arguments import add_ignore_budget, make_parser
from sentinel.errors import EXIT_OK, ConfigurationError
from sentinel.process import run_as_script
from sentinel.site.market import Market
from sentinel.site.market_reader import BYTES_PER_COIN
from sentinel.site.status import Maker, SimulationResult, Status
from sentinel.storage import egress_budget, service_status
from sentinel.storage.connection import Connection, Session, resolve_database
from sentinel.storage.egress_budget import LargeRead

MARKET_REMEDY = "Leave out --with-market, or add --ignore-budget."


def write_site(
    folder: Path,
    settings: Settings,
    now: datetime,
    *,
    with_market: bool = False,
    is_forced: bool = False,
    simulation: SimulationResult | None = None,
) -> Path:
    """Write the deployment's page into a folder, and return the path of `index.html`.

    Other files of the folder stay.

    Raises ConfigurationError if the folder cannot be written or Jinja2 is not installed,
    StorageUnavailable, and BudgetExhausted if Neon's quota does not allow to read the market and
    the read is not forced.
    """
    with missing_packages_explained():
        from sentinel.site.site_files import SiteFigures, render_site, write_files
    try:
        folder.mkdir(parents=True, exist_ok=True)
        status, market = _read(settings, now, with_market=with_market, is_forced=is_forced)
        write_files(render_site(SiteFigures(status, market, simulation=simulation)), folder)
    except OSError as error:
        raise ConfigurationError(
            f"The page cannot be written to {folder} ({error.strerror}). Name a folder that you "
            "can write to: --out DIR."
        ) from error
    return folder / "index.html"


def _read(
    settings: Settings, now: datetime, *, with_market: bool, is_forced: bool
) -> tuple[Status, Market | None]:
    registry = load_registry(settings)
    budget = budget_monitor.check_budget_status(settings, now)
    options = load_alert_settings().options

    def read(connection: Connection) -> tuple[Status, Market | None]:
        if with_market:
            _request_market(connection, settings, now, is_forced=is_forced)
        return read_figures(
            connection,
            settings,
            registry,
            budget,
            options,
            now,
            maker=_find_maker(connection, now),
            interval=page_interval(settings),
            with_market=with_market,
            repository_url=find_repository_url(os.environ),
        )

    with resolve_database(settings) as address, Session(address) as session:
        return session.use(read)


def _request_market(
    connection: Connection, settings: Settings, now: datetime, *, is_forced: bool
) -> None:
    coins = len(settings.targets) or settings.limit
    read = LargeRead("The market page", coins * BYTES_PER_COIN, MARKET_REMEDY)
    egress_budget.request_read(connection, settings, read, now, is_forced=is_forced)


def _find_maker(connection: Connection, now: datetime) -> Maker:
    """Return the half that stores the prices: the monitor, if its loop was active lately."""
    loop = service_status.read(connection, "ingestion")
    is_active = loop and now - loop.recorded_at <= service_status.SILENCE_WINDOW
    return "monitor" if is_active else "schedule"


def main() -> int:
    """Write the page and print the path of its first file; return 0."""
    parser = make_parser(
        "python -m pipeline.site",
        __doc__,
        "example: python -m pipeline.site --out site --with-market",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        required=True,
        help="the folder; other files in it stay, such as the pages of coins that left the market",
    )
    parser.add_argument(
        "--with-market", action="store_true", help="also the prices: a list, and a page per coin"
    )
    add_ignore_budget(parser)
    arguments = parser.parse_args()
    print(
        write_site(
            arguments.out,
            load_settings(),
            datetime.now(UTC),
            with_market=arguments.with_market,
            is_forced=arguments.ignore_budget,
        )
    )
    return EXIT_OK


if __name__ == "__main__":
    run_as_script(main)
