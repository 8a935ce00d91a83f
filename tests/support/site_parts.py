"""The parts of the public page's status document for tests."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

from sentinel.site.status import (
    AlertScore,
    AlertWeek,
    Backup,
    Check,
    ForecastScore,
    HealthChange,
    InactiveCoin,
    Incident,
    OpenGaps,
    Quota,
    Registry,
    Schedule,
    Slots,
    SlotTotals,
    Trust,
)

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MIDNIGHT = NOW.replace(hour=0)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NEXT_MONTH = datetime(2026, 12, 1, tzinfo=UTC)


def make_checks() -> list[Check]:
    """Return nine checks, one of which warns."""
    passed = {
        "database": "The database answers.",
        "freshness": "The newest observation is 7 minutes old.",
        "last_run": "The newest run started 6 minutes ago.",
        "schedule": "55.1 % of the runs of the last 7 days were delivered.",
        "quotas": "All quotas last the month.",
        "archive": "Every closed day is archived.",
        "disk": "12.1 GB are free.",
        "clock": "The clock agrees with CoinGecko's and the database's.",
    }
    warning = "More coins than usual fail: null_price: 23 of 500 coins, usually 4."
    checks = [Check(name=name, state="ok", summary=text) for name, text in passed.items()]
    return [*checks, Check(name="rejections", state="warning", summary=warning)]


def make_slots(start: datetime, expected: int, number: int) -> Slots:
    """Return the slots of an hour or a day; `number` decides how many were delivered."""
    quality = 0.55 + 0.3 * math.sin(number * 0.7) + 0.2 * math.sin(number * 2.9)
    delivered = min(expected, max(0, round(expected * quality)))
    backfilled = round((expected - delivered) * (0.96 if number % 7 else 0.55))
    return Slots(start=start, expected=expected, delivered=delivered, backfilled=backfilled)


def make_schedule() -> Schedule:
    """Return 60 days of a schedule of every 15 minutes, of which GitHub delivers about half."""
    hours = [make_slots(NOW - (167 - number) * HOUR, 4, number) for number in range(168)]
    days = [make_slots(MIDNIGHT - (59 - number) * DAY, 96, number) for number in range(60)]
    return Schedule(
        cadence_minutes=15,
        reference_coin="bitcoin",
        totals=[_add_up(7, hours, 191.4, NOW - 2 * DAY), _add_up(60, days, 702, NOW - 31 * DAY)],
        hours=hours,
        days=days,
    )


def _add_up(days: int, slots: list[Slots], silence_minutes: float, silent: datetime) -> SlotTotals:
    return SlotTotals(
        days=days,
        expected=sum(each.expected for each in slots),
        delivered=sum(each.delivered for each in slots),
        backfilled=sum(each.backfilled for each in slots),
        longest_silence_minutes=silence_minutes,
        longest_silence_from=silent,
    )


def make_gaps() -> list[OpenGaps]:
    """Return the open gaps of two reasons."""
    return [
        OpenGaps(
            reason="only_hourly_left",
            explanation="found after more than 24 hours: CoinGecko has only hourly prices left",
            gaps=212,
            coins=98,
            longest_minutes=118,
            newest_at=NOW - 31 * HOUR,
        ),
        OpenGaps(
            reason="waits",
            explanation="waits for the backfill, if the coin is still collected",
            gaps=14,
            coins=14,
            longest_minutes=64,
            newest_at=NOW - 2 * HOUR,
        ),
    ]


def make_quotas() -> list[Quota]:
    """Return the usage of all quotas on the 20th: one is tight, one has no limit."""
    neon = "https://neon.com/docs/introduction/plans"
    figures: list[tuple[str, float, float, float | None, str, str | None]] = [
        ("neon_compute_hours", 58.2, 91.4, 100, "warn", neon),
        ("neon_storage_bytes", 289.4e6, 301e6, 500e6, "ok", neon),
        ("neon_egress_bytes", 1.32e9, 2.1e9, 5e9, "ok", neon),
        ("coingecko_credits", 4_873, 7_401, 10_000, "ok", "https://docs.coingecko.com/docs/plans"),
        ("actions_minutes", 1_071, 1_650, None, "ok", None),
    ]
    return [
        Quota.model_validate(
            {
                "name": name,
                "used": used,
                "projected": projected,
                "limit": limit,
                "state": state,
                "resets_at": NEXT_MONTH,
                "source": source,
            }
        )
        for name, used, projected, limit, state, source in figures
    ]


def make_registry() -> Registry:
    """Return a registry with three inactive coins and four health changes."""
    coins = (("pax-gold-old", "paxg", "missing"), ("luna-classic-2", "lunc", "null_price"))
    inactive = [
        InactiveCoin(
            coin_id=coin_id,
            symbol=symbol,
            name=coin_id.replace("-", " ").title(),
            reason=reason,
            since=NOW - number * 3 * DAY,
            next_probe=NOW + number * DAY,
        )
        for number, (coin_id, symbol, reason) in enumerate(coins, 1)
    ]
    unknown = InactiveCoin(
        coin_id="atlas-2", symbol="atl", name="Atlas", reason=None, since=None, next_probe=None
    )
    changes = [
        HealthChange(at=NOW - 3 * DAY, coin_id="pax-gold-old", change="deactivated"),
        HealthChange(at=NOW - 6 * DAY, coin_id="luna-classic-2", change="deactivated"),
        HealthChange(at=NOW - 11 * DAY, coin_id="kaspa", change="healed"),
        HealthChange(at=NOW - 12 * DAY, coin_id="kaspa", change="deactivated"),
    ]
    return Registry(
        synced_at=NOW - 5 * HOUR,
        active=18_440,
        inactive=3,
        delisted=402,
        inactive_coins=[*inactive, unknown],
        changes=changes,
    )


def make_incidents() -> list[Incident]:
    """Return one incident of each source; both have ended."""
    return [
        Incident(
            incident="coingecko_unavailable",
            source="schedule",
            began_at=NOW - 9 * DAY,
            ended_at=NOW - 9 * DAY + timedelta(minutes=135),
            summary="CoinGecko did not answer 6 runs in a row.",
        ),
        Incident(
            incident="backup_failed",
            source="monitor",
            began_at=NOW - 30 * DAY,
            ended_at=NOW - 29 * DAY,
            summary="The restored backup had fewer rows than the database.",
        ),
    ]


def make_trust() -> Trust:
    """Return the monitor's figures of forecasts, alerts and backups."""
    forecasts = [
        ForecastScore(
            hours=24,
            scored=71_820,
            mase=1.004,
            hit_rate=0.507,
            coverage=0.803,
            coverage_calm=0.831,
            coverage_wild=0.762,
            result="no edge",
        ),
        ForecastScore(
            hours=168,
            scored=499_113,
            mase=0.998,
            hit_rate=0.511,
            coverage=0.796,
            coverage_calm=0.824,
            coverage_wild=0.741,
            result="no edge",
        ),
    ]
    counts = (11, 9, 14, 26, 12, 8, 10, 7)
    weeks = [
        AlertWeek(start=date(2026, 9, 28) + number * 7 * DAY, alerts=alerts, coins_watched=6)
        for number, alerts in enumerate(counts)
    ]
    alerts = AlertScore(
        coins_watched=6,
        target_rate=2.0,
        actual_rate=1.87,
        weeks=weeks,
        scored_days=60,
        falls=41,
        caught=36,
        missed=5,
        stray=22,
        scored_at=NOW - 7 * HOUR,
    )
    backup = Backup(
        verified_at=NOW - 10 * HOUR,
        size_bytes=61_300_000,
        rows=2_409_011,
        last_attempt_at=NOW - 10 * HOUR,
        last_attempt_failed=False,
    )
    return Trust(forecasts=forecasts, alerts=alerts, backup=backup)
