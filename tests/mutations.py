# ruff: noqa: E501 (lines of the product)
"""Breaks promises on purpose, one line each, and shows which test notices.

    python -m tests.mutations [TEXT]

Each mutation replaces one line of the product in a copy of this checkout and runs the related
tests: first the fast ones, then, if they notice nothing, the slow ones. TEXT chooses the mutations
whose promise or file contains it. The command ends in 1 if a mutation survives, or if the fast
tests miss more than a fifth of them.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOT_COPIED = (".git", ".venv", ".sentinel", ".coverage*", "__pycache__", ".*_cache", ".hypothesis")
FAST, SLOW = "not slow", "slow"
MIN_FAST_SHARE = 0.8


@dataclass(frozen=True)
class Mutation:
    """A promise of the documents, the line that keeps it, and a line that breaks it."""

    promise: str
    path: str
    line: str
    broken: str
    # The file or folder with the tests that are to notice it.
    tests: str

    def apply(self, root: Path) -> None:
        """Break the promise in a checkout. Raises ValueError if the line is not there once."""
        source = (root / self.path).read_text(encoding="utf-8")
        if f"\n{source}".count(f"\n{self.line}\n") != 1:
            raise ValueError(f"{self.path} holds this line not exactly once: {self.line.strip()}")
        changed = f"\n{source}".replace(f"\n{self.line}\n", f"\n{self.broken}\n")[1:]
        (root / self.path).write_text(changed, encoding="utf-8")


MUTATIONS = (
    Mutation(
        "in a group only the configured users command the bot",
        "services/telegram/access.py",
        "        if request.chat_id != self.chat_id or request.user_id not in self.user_ids:",
        "        if request.chat_id != self.chat_id:",
        "tests/services/telegram/test_poller.py",
    ),
    Mutation(
        "no command is carried out twice after a kill",
        "services/telegram/responder.py",
        '    if is_known and now - datetime.fromisoformat(handled["at"]) < MAX_ID_AGE:',
        "    if False:",
        "tests/services/telegram/test_poller.py",
    ),
    Mutation(
        "a refused command changes nothing",
        "services/telegram/commands.py",
        '        raise RequestRefused(context.text("api_down")) from error',
        '        return Reply(context.text("api_down"))',
        "tests/services/telegram/test_poller.py",
    ),
    Mutation(
        "an alert has no buttons that no process answers",
        "sentinel/notifications/alert_buttons.py",
        "    if now - status.recorded_at > service_status.MAX_POLL_PAUSE:",
        "    if False:",
        "tests/sentinel/notifications/test_alert_buttons.py",
    ),
    Mutation(
        "a single wrong price fires no price target",
        "sentinel/analytics/price_targets.py",
        "        if not (should_change and self.is_pending):",
        "        if not should_change:",
        "tests/sentinel/analytics/test_price_targets.py",
    ),
    Mutation(
        "an entry of the settings that has fired does not come back",
        "sentinel/alerting/target_checks.py",
        "WHERE state = 'open' OR source = 'settings' ORDER BY target_id FOR UPDATE",
        "WHERE state = 'open' ORDER BY target_id FOR UPDATE",
        "tests/sentinel/alerting/test_configured_targets.py",
    ),
    Mutation(
        "a digest leaves out no message that waits",
        "sentinel/notifications/digest.py",
        "        queues.setdefault((message.queue, own_title), []).append(message)",
        '        queues.setdefault((message.queue, ""), []).append(message)',
        "tests/sentinel/notifications/test_digest.py",
    ),
    Mutation(
        "a rejected digest is taken apart",
        "sentinel/notifications/digest.py",
        "      AND rejections = 0",
        "",
        "tests/sentinel/notifications/test_digest.py",
    ),
    Mutation(
        "messages of quiet hours wait for their end",
        "sentinel/notifications/delivery.py",
        "            outbox.hold(connection, target, self.rules.list_held_kinds(), quiet_end)",
        "            pass",
        "tests/sentinel/notifications/test_digest.py",
    ),
    Mutation(
        "a held message makes no target unhealthy",
        "sentinel/health/deployment.py",
        "  AND (held_until IS NULL OR held_until <= %(now)s)",
        "",
        "tests/sentinel/notifications/test_digest.py",
    ),
    Mutation(
        "a muted coin is not announced",
        "sentinel/alerting/composition.py",
        "        new = [c for c in alerts if c.alert.kind == kind and c.coin_id not in muted]",
        "        new = [c for c in alerts if c.alert.kind == kind]",
        "tests/sentinel/alerting/test_stage.py",
    ),
    Mutation(
        "an outcome is sent once",
        "sentinel/alerting/follow_ups.py",
        '        connection.execute(MARK_FOLLOWED_UP, {"now": now, "alert_ids": alert_ids})',
        "        pass",
        "tests/sentinel/alerting/test_stage.py",
    ),
    Mutation(
        "only a run in mode ingest sends alerts",
        "ingest.py",
        '        if not settings.has_alert_targets or settings.mode != "ingest":',
        "        if not settings.has_alert_targets:",
        "tests/pipeline/test_alerts.py",
    ),
    Mutation(
        "the warnings of a scheduled run are one message a day",
        "sentinel/notifications/messages.py",
        '    key, title = f"run_warnings:{at.date()}", formatter.translate("run_warnings")',
        '    key, title = f"run_warnings:{at}", formatter.translate("run_warnings")',
        "tests/pipeline/test_alerts.py",
    ),
    Mutation(
        "a new hour or zone sends no second summary on a day",
        "sentinel/daily_summary/due.py",
        "    return is_same_day or planned - previous < MIN_PAUSE",
        "    return planned <= previous",
        "tests/sentinel/daily_summary/test_due.py",
    ),
    Mutation(
        "two processes never send two summaries",
        "sentinel/daily_summary/queueing.py",
        "        if _is_done(connection, planned, formatter, now):  # by another process meanwhile",
        "        if False:",
        "tests/sentinel/daily_summary/test_summary.py",
    ),
    Mutation(
        "purchases of the day are not part of the summary's change",
        "sentinel/daily_summary/net_worth.py",
        "           coalesce(sum(paid_usd) FILTER (WHERE NOT is_before), 0) AS paid_usd,",
        "           0 AS paid_usd,",
        "tests/sentinel/daily_summary/test_summary.py",
    ),
    Mutation(
        "a single wrong price is not announced",
        "sentinel/analytics/confirmation.py",
        "        if abs(step) > max_step:",
        "        if False:",
        "tests/sentinel/analytics/test_alert_scenarios.py",
    ),
    Mutation(
        "a fall during an outage is announced",
        "sentinel/analytics/alerts.py",
        "        return at - window - (after - before if at - after < window else 0.0)",
        "        return at - window",
        "tests/sentinel/analytics/test_alert_scenarios.py",
    ),
    Mutation(
        "the target rate never lowers a threshold",
        "sentinel/analytics/calibration.py",
        "FACTORS = tuple(1.05**n for n in range(55))",
        "FACTORS = tuple(1.05**n for n in range(-20, 55))",
        "tests/sentinel/analytics/test_alerts.py",
    ),
    Mutation(
        "a discarded entry is never replayed",
        "sentinel/storage/quarantine.py",
        "WHERE {selected} AND (%(is_open)s::boolean IS NULL OR (resolution IS NULL) = %(is_open)s)",
        "WHERE {selected} AND (%(is_open)s::boolean IS NULL OR %(is_open)s)",
        "tests/pipeline/test_quarantine.py",
    ),
    Mutation(
        "a replay judges an entry at the time of its rejection",
        "transform.py",
        "        return validate_entry(entry, rejection.coin_id, rejection.rejected_at)",
        "        return validate_entry(entry, rejection.coin_id, datetime.now(UTC))",
        "tests/pipeline/test_quarantine.py",
    ),
    Mutation(
        "coins that are inactive by now count in the rate of failures",
        "sentinel/storage/queries/failing_coins.py",
        "          GROUP BY days_ago, reason, coin_id HAVING count(*) >= %(failures)s) AS coins",
        "          GROUP BY days_ago, reason, coin_id HAVING count(*) > 9 * %(failures)s) AS coins",
        "tests/sentinel/health/test_failure_rates.py",
    ),
    Mutation(
        "gaps are judged by the configured cadence",
        "sentinel/storage/queries/gaps.py",
        '        "limit": factor * slot,',
        '        "limit": 10 * factor * slot,',
        "tests/sentinel/storage/queries/test_gaps.py",
    ),
    Mutation(
        "the lead of the backfill follows the longest silence",
        "sentinel/budget/coingecko_credits.py",
        "    silence = min(max(pauses[-1], MIN_BACKFILL_LEAD), MAX_BACKFILL_LEAD)",
        "    silence = MIN_BACKFILL_LEAD",
        "tests/pipeline/test_backfill_plan.py",
    ),
    Mutation(
        "a backfilled price never replaces an observed one",
        "database.py",
        "      AND excluded.source <= o.source",
        "      AND true",
        "tests/test_database.py",
    ),
    Mutation(
        "no day inside the 60-day window is dropped",
        "sentinel/storage/retention.py",
        "    return sorted(day for day in existing if day < oldest_kept)",
        "    return sorted(day for day in existing if day <= oldest_kept)",
        "tests/sentinel/storage/test_retention.py",
    ),
    Mutation(
        "a used-up quota stops the run with exit code 5",
        "budget_monitor.py",
        '            return "stop", budget_output.describe_problem(usage, "used up")',
        '            return "skip", budget_output.describe_problem(usage, "used up")',
        "tests/test_budget_monitor.py",
    ),
    Mutation(
        "runs stop before Neon's egress is used up",
        "sentinel/budget/quota_usage.py",
        "        return self.spent >= self.quota - self.reserve",
        "        return self.spent >= self.quota",
        "tests/sentinel/budget/test_egress.py",
    ),
    Mutation(
        "all readers of a Neon project share one count of its egress",
        "sentinel/storage/egress.py",
        "    SET received_bytes = e.received_bytes + excluded.received_bytes",
        "    SET received_bytes = excluded.received_bytes",
        "tests/sentinel/storage/test_egress.py",
    ),
    Mutation(
        "a restore keeps the count of Neon's egress",
        "sentinel/storage/egress.py",
        "        for statement in PUT_BACK:",
        "        for statement in PUT_BACK[:0]:",
        "tests/services/backup/test_restore.py",
    ),
    Mutation(
        "a large read leaves what runs and monitor need of the egress",
        "sentinel/storage/egress_budget.py",
        "    free = max(0.0, SKIP_SHARE * usage.quota - spent - to_come)",
        "    free = max(0.0, SKIP_SHARE * usage.quota - spent)",
        "tests/sentinel/storage/test_egress_budget.py",
    ),
    Mutation(
        "the circuit breaker limits a dead API to seconds",
        "sentinel/coingecko.py",
        "            fail_max=BREAKER_FAILURES,",
        "            fail_max=10 * BREAKER_FAILURES,",
        "tests/sentinel/test_coingecko.py",
    ),
    Mutation(
        "rows wait in the spool while the database is unavailable",
        "pipeline/store.py",
        "                run.loaded = load_run(run, registry, spool, left_behind, session)",
        "                spool.discard(); run.loaded = load_run(run, registry, spool, (), session)",
        "tests/test_ingest.py",
    ),
    Mutation(
        "two runs' strikes for one coin add up",
        "sentinel/coin_health.py",
        "    strikes = max(ours.strikes + theirs.strikes - base.strikes, ours.strikes, theirs.strikes)",
        "    strikes = max(base.strikes, ours.strikes, theirs.strikes)",
        "tests/test_coin_registry.py",
    ),
    Mutation(
        "a backfilled price never raises an alert",
        "sentinel/alerting/alert_storage.py",
        "WHERE o.source = 'observed' AND o.observed_at > %(oldest)s AND o.observed_at <= %(newest)s",
        "WHERE o.observed_at > %(oldest)s AND o.observed_at <= %(newest)s",
        "tests/sentinel/alerting/test_stage.py",
    ),
    Mutation(
        "80 % of the later prices are inside the forecast's interval",
        "sentinel/analytics/forecast_band.py",
        "    rank = min(len(changes), math.ceil((len(changes) + 1) * level))",
        "    rank = min(len(changes), math.ceil((len(changes) + 1) * level / 2))",
        "tests/sentinel/analytics/test_forecast.py",
    ),
    Mutation(
        "the forecast's interval is wider after a wild hour",
        "sentinel/analytics/forecast_band.py",
        "    scales, scale = (past.volatilities + average) / 2, (volatility + average) / 2",
        "    scales, scale = past.volatilities * 0 + average, average",
        "tests/sentinel/analytics/test_forecast.py",
    ),
    Mutation(
        "first in, first out: a sale takes the oldest coins",
        "services/api/portfolio/cost_basis.py",
        "            lot = lots.popleft()",
        "            lot = lots.pop()",
        "tests/services/api/test_valuation.py",
    ),
    Mutation(
        "a backtest fills an order at the next price (no look-ahead)",
        "sentinel/backtesting/engine.py",
        "                at, price = float(series.times[index + 1]), float(series.prices[index + 1])",
        "                at, price = float(series.times[index + 1]), float(series.prices[index])",
        "tests/sentinel/backtesting/test_engine.py",
    ),
    Mutation(
        "a strategy that uses later prices is found",
        "sentinel/backtesting/causality.py",
        '        return "look-ahead" if self.findings.difference else "causal"',
        '        return "causal"',
        "tests/sentinel/backtesting/test_causality.py",
    ),
    Mutation(
        "a step adds nothing to a ledger that changed while the strategy decided",
        "sentinel/paper_trading/ledger.py",
        "        if not is_open or find_last_event_id(connection, wallet_id) != last_event_id:",
        "        if not is_open:",
        "tests/sentinel/paper_trading",
    ),
    Mutation(
        "a backtest sees the prices before its start",
        "sentinel/backtesting/price_loader.py",
        '    read = StoredRead("This backtest", REMEDY, span.start - WARM_UP, span.stop)',
        '    read = StoredRead("This backtest", REMEDY, span.start, span.stop)',
        "tests/test_sandbox.py",
    ),
    Mutation(
        "a backup counts only if its restored copy equals the original",
        "services/backup/verification.py",
        "    if differences := checksums.list_differences(expected, found):",
        "    if differences := checksums.list_differences(expected, expected):",
        "tests/services/backup",
    ),
    Mutation(
        "every write through the API needs the token",
        "services/api/auth.py",
        '    return hmac.compare_digest(sent_token, token) and scheme.lower() == "bearer"',
        '    return bool(sent_token or token) and scheme.lower() == "bearer"',
        "tests/services/api/test_auth.py",
    ),
    Mutation(
        "no PG… variable leads the embedded database's connection elsewhere",
        "sentinel/storage/embedded.py",
        '    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PG")}',
        "    hidden: dict[str, str] = {}",
        "tests/sentinel/storage/test_embedded_environment.py",
    ),
    Mutation(
        "small tables are purged while days wait for the archive",
        "sentinel/storage/retention.py",
        "            if dropped or is_new_day:",
        "            if dropped:",
        "tests/sentinel/storage/test_retention.py",
    ),
    Mutation(
        "a killed run leaves a start without a result at the dead man's switch",
        "sentinel/heartbeat.py",
        "    heartbeat.send_start()",
        "    pass",
        "tests/sentinel/test_heartbeat.py",
    ),
    Mutation(
        "a message about an incident is sent once, also after a restart",
        "services/ingestion/announced_incidents.py",
        "        _write(self._path, self._since)",
        "        pass",
        "tests/services/ingestion/test_incidents.py",
    ),
    Mutation(
        "an incident of the scheduled runs has one issue, however often its job starts",
        "pipeline/incident_issue.py",
        "        if issue := self._close_duplicates(ours):",
        "        if (issue := self._close_duplicates(ours)) and issue.number < 0:",
        "tests/pipeline/test_incident_issue.py",
    ),
    Mutation(
        "an alert target that refuses all messages is unhealthy within ten minutes",
        "sentinel/health/checks.py",
        "    return has_waited or delivery.failures >= MAX_DELIVERY_FAILURES",
        "    return False",
        "tests/sentinel/health",
    ),
    Mutation(
        "/health without the token names no database, host, folder or user",
        "services/api/deployment_health.py",
        "                message=shorten_paths(check.message, settings) if is_owner else check.summary,",
        "                message=shorten_paths(check.message, settings),",
        "tests/services/api/test_health.py",
    ),
    Mutation(
        "a full disk ends no process of the stack",
        "services/stack/log_file.py",
        "            except OSError:",
        "            except FileNotFoundError:",
        "tests/services/stack/test_log_file.py",
    ),
    Mutation(
        "each part of the trust figures comes from the fresher of the two halves",
        "sentinel/site/page_figures.py",
        "    documents.sort(key=lambda each: min(each.generated_at, status.generated_at), reverse=True)",
        "    documents.sort(key=lambda each: min(each.generated_at, status.generated_at))",
        "tests/sentinel/site/test_pages.py",
    ),
    Mutation(
        "a slot without a run is backfilled or open, and words say which",
        "sentinel/site/svg.py",
        '        rects.append(_rect("backfilled", x, y + height - delivered - backfilled, width, backfilled))',
        '        rects.append(_rect("delivered", x, y + height - delivered - backfilled, width, backfilled))',
        "tests/sentinel/site/test_pages.py",
    ),
    Mutation(
        "a change of 24 hours or 7 days is a dash where the price before is missing",
        "sentinel/site/market_rows.py",
        "    before = coin.prices_usd[hour] if 0 <= hour < len(coin.prices_usd) else None",
        "    before = next((price for price in coin.prices_usd[hour:] if price), None)",
        "tests/sentinel/site/test_market_rows.py",
    ),
    Mutation(
        "a stretch that a backfill filled is drawn apart from observed prices",
        "sentinel/site/price_line.py",
        '            is_backfilled = is_backfilled or sources[hour - 1] == "backfilled"',
        "            is_backfilled = False",
        "tests/sentinel/site/test_market_rows.py",
    ),
    Mutation(
        "names of coins are chosen by strangers, and are text on the public page",
        "sentinel/site/pages.py",
        "        autoescape=True,  # coins' names are chosen by strangers",
        "        autoescape=False,",
        "tests/sentinel/site",
    ),
    Mutation(
        "no name of a coin breaks the feed",
        "sentinel/site/feed.py",
        '    return "".join(char if char.isprintable() else " " for char in text)',
        "    return text",
        "tests/sentinel/site/test_published_data.py",
    ),
    Mutation(
        "the status page at home is rendered at most once a minute",
        "services/api/status_site.py",
        "            if not self.rendered_at or not timedelta(0) <= now - self.rendered_at < self.interval:",
        "            if True:",
        "tests/services/api/test_status_page.py",
    ),
    Mutation(
        "what the monitor publishes does not show which coins the user holds",
        "services/ingestion/publication.py",
        '    registry = status.registry.model_copy(update={"inactive_coins": [], "changes": []})',
        "    registry = status.registry",
        "tests/services/ingestion/test_publication.py",
    ),
    Mutation(
        "the public market has no coins that only a monitor on the same database fetches",
        "pipeline/site_stage.py",
        "    coins = [coin for coin in market.coins if coin.coin_id in own] if market else []",
        "    coins = market.coins if market else []",
        "tests/pipeline/test_site.py",
    ),
    Mutation(
        "the dashboard passes no other route of the API on",
        "services/dashboard/server/status_page.py",
        '        if {".", ".."} & set(path.split("/")):  # would lead to other routes of the API',
        "        if False:",
        "tests/services/api/test_status_page.py",
    ),
)


def _run_tests(root: Path, tests: Iterable[str], marker: str) -> str | None:
    """Run test files of a checkout; return the first test that fails, None if none does."""
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-n0", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-m", marker, *tests],
        cwd=root,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode in (0, 5):  # 5: the file has no test with this marker
        return None
    failed = re.search(r"^(?:FAILED|ERROR) \S+?::(\S+)", done.stdout, re.MULTILINE)
    if failed is None:
        raise RuntimeError(f"the tests did not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return failed[1]


@contextlib.contextmanager
def copy_of_checkout() -> Iterator[Path]:
    """Yield a copy of this checkout, as a repository of its own: some tests ask git."""
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        Path(folder).chmod(0o755)  # as a checkout is: some tests run as another user
        root = Path(folder) / "copy"
        shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(*NOT_COPIED))
        identity = ("-c", "user.name=A Test", "-c", "user.email=test@example.org")
        for command in (("init",), ("add", "."), (*identity, "commit", "-m", "Begin")):
            subprocess.run(["git", *command], cwd=root, check=True, capture_output=True)
        yield root


def find_noticing_test(mutation: Mutation) -> tuple[str, str] | None:
    """Apply a mutation in a copy; return ("fast" or "slow", test), None if no test notices it."""
    with copy_of_checkout() as root:
        mutation.apply(root)
        for name, marker in (("fast", FAST), ("slow", SLOW)):
            if test := _run_tests(root, [mutation.tests], marker):
                return name, test
    return None


def main() -> int:
    """Try the mutations and print a table."""
    wanted = sys.argv[1] if sys.argv[1:] else ""
    chosen = [m for m in MUTATIONS if wanted in m.promise + m.path]
    with copy_of_checkout() as root:
        if broken := _run_tests(root, sorted({m.tests for m in chosen}), FAST):
            raise SystemExit(f"without a mutation, {broken} fails already")
    print("| promise | broken in | noticed by | test | seconds |\n|---|---|---|---|---|")
    results = []
    for mutation in chosen:
        begin = time.monotonic()
        speed, test = find_noticing_test(mutation) or ("no test", "")
        cells = (mutation.promise, f"`{mutation.path}`", speed, f"`{test}`")
        print(f"| {' | '.join(cells)} | {time.monotonic() - begin:.0f} |", flush=True)
        results.append(speed)
    print(f"\n{results.count('fast')} of {len(results)} noticed by the fast tests")
    is_enough = results.count("fast") >= MIN_FAST_SHARE * len(results)
    return 0 if is_enough and "no test" not in results else 1


if __name__ == "__main__":
    sys.exit(main())
