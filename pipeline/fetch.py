"""The fetch stage: request the prices of all targets, validate them, and spool each response."""

from __future__ import annotations

import logging

from api_library import chunk_ids
from coin_registry import CoinRegistry
from pipeline.run import Run
from pipeline.spool import Item
from sentinel.clocks import describe_clock_error
from sentinel.coingecko import PriceResponse
from sentinel.console import Progress
from sentinel.errors import ApiUnavailable
from sentinel.models import Batch, FxRate
from sentinel.process import defer_signals
from transform import transform_and_validate

log = logging.getLogger("sentinel.fetch")


def fetch_prices(run: Run, registry: CoinRegistry, progress: Progress) -> None:
    """Request the run's targets chunk by chunk and add each response to `run.fetched`.

    A chunk that fails is noted in its `errors`, and the others continue. Without a spool (a dry
    run) nothing is written.

    Raises ApiUnavailable if no response contained a usable price.
    """
    chunks = _plan_chunks(run, registry)
    for done, chunk in enumerate(chunks):
        progress("prices", done, len(chunks))
        try:
            for response in run.client.prices(chunk):
                # A signal must not separate a received response from its file.
                with defer_signals():
                    items = _process_response(response, registry, run)
                    if run.spool:
                        run.spool.write(items)
        except ApiUnavailable as error:
            run.fetched.errors.append(error)
            if run.client.is_exhausted:
                return
    if problem := describe_clock_error(run.client.clock_offset):
        log.warning("%s", problem)
    if run.fetched.is_degraded and not run.fetched.rows:
        raise ApiUnavailable(
            "CoinGecko responded without one usable price. The next run tries again."
        )


def _plan_chunks(run: Run, registry: CoinRegistry) -> list[tuple[str, ...]]:
    """Return the ids of each call. Inactive coins that are due for a probe fill up the calls."""
    targets = run.fetched.targets
    requested = set(targets)
    probes = [i for i in registry.due_for_probe(run.trusted_start) if i not in requested]
    if not targets:  # without active coins, the probes are worth a call of their own
        return list(chunk_ids(run.client.base_url, probes))
    return list(chunk_ids(run.client.base_url, targets, probes))


def _process_response(response: PriceResponse, registry: CoinRegistry, run: Run) -> list[Item]:
    """Validate one response, update the coins' health, and return the items for the database."""
    result = run.fetched
    now = run.trusted_start  # a wrong clock of this machine makes no price stale
    batch = transform_and_validate(response.body, response.ids, now, run.run_id)
    failed = {rejection.coin_id: rejection.reason for rejection in batch.rejections}
    failed |= dict.fromkeys(batch.missing, "missing")
    requested = set(result.targets)
    changes = registry.record_results(
        (row.coin_id for row in batch.rows),
        failed,
        (coin_id for coin_id in response.ids if coin_id in requested),
        now,
    )
    if changes.is_degraded:
        log.warning(
            "%d of %d coins failed: the response is degraded, so no coin gets a strike",
            len(failed),
            len(response.ids),
        )
    rates = _implied_rates(batch)
    result.is_degraded |= changes.is_degraded
    result.rows += batch.rows
    result.rejections += batch.rejections
    result.rates += rates
    result.missing += batch.missing
    result.strikes += changes.struck
    result.deactivated += changes.deactivated
    result.healed += changes.healed
    result.reactivated += changes.reactivated
    return [*batch.rows, *batch.rejections, *rates]


def _implied_rates(batch: Batch) -> list[FxRate]:
    """Return the rupiah's rate, dated like the newest of the prices that imply it."""
    if batch.idr_per_usd is None:
        return []
    return [FxRate(max(row.observed_at for row in batch.rows), "idr", batch.idr_per_usd)]
