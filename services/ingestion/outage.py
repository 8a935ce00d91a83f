"""Backfill the watched coins right after an outage, while CoinGecko still has detailed prices."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection
from datetime import timedelta

from coin_registry import CoinRegistry
from ingest import run_pipeline
from safe_zone import Settings
from sentinel.clocks import Clocks

log = logging.getLogger("sentinel.loop")

# A pause between two runs is an outage if it is longer than this and than so many intervals.
MIN_OUTAGE = timedelta(minutes=15)
OUTAGE_INTERVALS = 3


def is_outage(pause: timedelta, interval: timedelta) -> bool:
    """Return whether the pause between two runs was an outage."""
    return pause > max(MIN_OUTAGE, OUTAGE_INTERVALS * interval)


def backfill_watched_coins(settings: Settings, watched: Collection[str], clocks: Clocks) -> None:
    """Run the pipeline in backfill mode for the watched coins. A failure is only logged."""
    try:
        listed = CoinRegistry.load(settings.registry_path).coins
    except ValueError:
        return  # the registry file is damaged; the next run replaces it
    targets = tuple(coin_id for coin_id in watched if coin_id in listed)
    if not targets:
        return
    backfill_settings = dataclasses.replace(settings, mode="backfill", targets=targets)
    report = run_pipeline(backfill_settings, clocks=clocks)
    level = logging.WARNING if report.exit_code else logging.INFO
    log.log(level, "after an outage: %s", report.message)
