"""The page stage of a run: reads the figures of the public page in the run's own session.

The run only writes them into the state folder. A later step of the workflow renders and publishes
them (`pipeline/publish_site.py`), when the database may sleep again.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from coin_registry import CoinRegistry
from pipeline.optional_stage import errors_as_warnings
from pipeline.run import Run
from sentinel.errors import ConfigurationError
from sentinel.files import create_folder, replace_atomically
from sentinel.storage import service_status
from sentinel.storage.connection import Connection, Session

if TYPE_CHECKING:
    from sentinel.site.market import Market
    from sentinel.site.status import Status

INTERVAL = timedelta(hours=1)
# GitHub starts no run to the second, and the fourth run after the last page must not be too early.
TOLERANCE = timedelta(minutes=5)
FOLDER = "site"  # in the state folder
FIGURES_FILE = "status.json"
# It stays there: prices are shown, and not handed out as a file (CoinGecko's terms).
MARKET_FILE = "market.json"
NO_MARKET = (
    "The public page shows no market, because Neon's egress would not last the month "
    "(docs/deploy-github-actions.md)."
)


def prepare_page(run: Run, registry: CoinRegistry, session: Session) -> None:
    """Write the page's figures if the last ones are an hour old. Raises Interrupted only.

    A run that a person or the monitor's loop started leaves them to the scheduled ones.
    """
    if run.settings.mode != "ingest" or not run.is_scheduled:
        return
    with errors_as_warnings(run, "The public page stays as it is for an hour: "):
        if session.use(lambda connection: _is_due(connection, run)):
            _write(run, *session.use(lambda connection: _read(connection, run, registry)))


def _is_due(connection: Connection, run: Run) -> bool:
    """Return whether figures are due, and note that they are read now.

    The database keeps the time, because GitHub evicts caches, and another machine may have made the
    last page. The time is noted before the figures are read, so that an error in every run does not
    cost the egress of every run.
    """
    last, now = service_status.read(connection, "page"), run.trusted_start
    # A time in the future is that of a wrong clock.
    if last and timedelta(0) <= now - last.recorded_at < INTERVAL - TOLERANCE:
        return False
    service_status.record(connection, "page", {"run_id": run.run_id}, now)
    return True


def _read(connection: Connection, run: Run, registry: CoinRegistry) -> tuple[Status, Market | None]:
    # These imports take 0.15 s, which three of four runs need not spend.
    import budget_monitor
    from pipeline.site_figures import find_repository_url, page_interval, read_figures
    from sentinel.alerting import alert_score
    from sentinel.alerting.settings import load_alert_settings

    now = run.trusted_clocks.now()
    budget = budget_monitor.check_budget_status(run.settings, now)
    with_market = run.settings.public_page == "market"
    if with_market and any(
        usage.name == "neon_egress_bytes" and usage.state == "stop" for usage in budget.quota_usages
    ):
        with_market = False
        run.warnings.append(NO_MARKET)
    options = (run.alert_settings or load_alert_settings()).options
    alert_score.score_if_due(connection, options, now)  # once a day
    status, market = read_figures(
        connection,
        run.settings,
        registry,
        budget,
        options,
        now,
        maker="schedule",
        interval=page_interval(run.settings),
        with_market=with_market,
        repository_url=find_repository_url(os.environ),
    )
    own = {coin.id for coin in registry.coins.values() if coin.status != "active"}
    return _leave_out_other_coins(status, market, own.union(run.fetched.targets))


def _leave_out_other_coins(
    status: Status, market: Market | None, own: Collection[str]
) -> tuple[Status, Market | None]:
    """Return the figures without coins that only a monitor on the same database fetches.

    It may fetch them because the user holds them, which a public page must not show.
    """
    changes = [change for change in status.registry.changes if change.coin_id in own]
    known = status.registry.model_copy(update={"changes": changes})
    coins = [coin for coin in market.coins if coin.coin_id in own] if market else []
    return status.model_copy(update={"registry": known}), market and replace(market, coins=coins)


def _write(run: Run, status: Status, market: Market | None) -> None:
    """Replace the figures of an earlier run. The status comes last: with it they are complete."""
    from pydantic import TypeAdapter

    from sentinel.site.market import Market

    folder = run.settings.state_dir / FOLDER
    try:
        create_folder(folder)
        for name in (FIGURES_FILE, MARKET_FILE):
            (folder / name).unlink(missing_ok=True)
        if market:
            replace_atomically(folder / MARKET_FILE, TypeAdapter(Market).dump_json(market))
        replace_atomically(folder / FIGURES_FILE, status.model_dump_json().encode())
    except OSError as error:
        raise ConfigurationError(
            f"The figures cannot be written to {folder} ({error.strerror}): check the rights of "
            "that folder, and the free space of its disk."
        ) from error
