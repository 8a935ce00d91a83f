"""Backfill the watched coins right after an outage, while CoinGecko still has detailed prices."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection

from coin_registry import CoinRegistry
from ingest import run_pipeline
from safe_zone import Settings
from sentinel.clocks import Clocks

log = logging.getLogger("sentinel.loop")


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
