"""The quarantine: rejected entries are listed, replayed once, or discarded for good."""

from __future__ import annotations

import json
import threading
from datetime import timedelta

import pytest

import transform
from pipeline.quarantine_replay import ReplayResult, replay
from safe_zone import RETENTION
from sentinel.models import CoinLabel, Rejection
from sentinel.storage import run_records
from sentinel.storage.connection import Session
from sentinel.storage.quarantine import Selection
from tests.conftest import NOW, FreshDatabase, Load
from tests.support.commands import Module, assert_error
from tests.support.loading import make_rows
from transform import transform_and_validate, validate_chart

QUARANTINE = "pipeline.quarantine"
HOUR = timedelta(hours=1)
SECONDS = NOW.timestamp()
LABELS = {name: CoinLabel(name, name.title(), None) for name in ("dear", "old", "chart", "bad")}
ALL = Selection()
PRICES = "SELECT coin_id, price, market_cap, source FROM stored_rows ORDER BY 1, timestamp"


def _reject(session: Session, rejections: list[Rejection]) -> None:
    session.use(lambda connection: run_records.record_rejections(connection, rejections))


def _price(coin_id: str, price: object, at: float = SECONDS, run: str = "run") -> Rejection:
    body = json.dumps({coin_id: {"usd": price, "last_updated_at": at, "usd_market_cap": 7.0}})
    [rejection] = transform_and_validate(body.encode(), [coin_id], NOW, run).rejections
    return rejection


def _point(coin_id: str, price: object, at: float = SECONDS) -> Rejection:
    chart = {"prices": [[at * 1000, price]], "market_caps": [[at * 1000, 8.0]]}
    _, [rejection] = validate_chart(json.dumps(chart).encode(), coin_id, NOW, "run")
    return rejection


@pytest.fixture
def three_kinds(session: Session) -> None:
    """A price that is too high, one that is too old, and a chart's point; and one of no use."""
    old = (NOW - timedelta(days=59)).timestamp()
    with pytest.MonkeyPatch.context() as strict:
        strict.setattr(transform, "MAX_PRICE", 1_000.0)
        strict.setattr(transform, "RETENTION", timedelta(days=30))
        rejections = [
            _price("dear", 2_000.0),
            _price("old", 3.0, old),
            _point("chart", 4_000.0),
            _price("bad", -1.0),
        ]
    assert [r.reason for r in rejections] == [
        *("price_too_high", "stale_timestamp"),
        *("price_too_high", "negative_price"),
    ]
    _reject(session, rejections)


@pytest.mark.usefixtures("three_kinds")
def test_entries_of_three_kinds_are_loaded_once_after_their_rules_were_relaxed(
    session: Session, fresh: FreshDatabase
) -> None:
    expected = ReplayResult(3, 0, {"negative_price": 1})  # type: ignore[arg-type]
    assert replay(session, ALL, LABELS, NOW, is_dry_run=True) == expected
    assert fresh.query(PRICES) == []
    assert replay(session, ALL, LABELS, NOW) == expected
    loaded = fresh.query(PRICES)
    assert loaded == [
        ("chart", 4_000.0, 8.0, "backfilled"),
        ("dear", 2_000.0, 7.0, "observed"),
        ("old", 3.0, 7.0, "observed"),
    ]
    for _ in range(2):
        assert replay(session, ALL, LABELS, NOW + HOUR).loaded == 0
    assert fresh.query(PRICES) == loaded
    assert fresh.query(
        "SELECT coin_id, resolution, resolved_at FROM sentinel.rejections ORDER BY 1"
    ) == [
        ("bad", None, None),
        *((coin_id, "replayed", NOW) for coin_id in ("chart", "dear", "old")),
    ]


@pytest.mark.usefixtures("three_kinds")
def test_discarded_entries_stay_discarded_whatever_is_replayed(
    live_module: Module, session: Session, fresh: FreshDatabase
) -> None:
    done = live_module(QUARANTINE, "discard", "run/dear", "--note", "a typing error")
    assert done.stdout == "1 open entries were discarded.\n"
    assert replay(session, ALL, LABELS, NOW).loaded == 2
    assert replay(session, Selection(ids=["run/dear"]), LABELS, NOW) == ReplayResult()
    assert [row[0] for row in fresh.query(PRICES)] == ["chart", "old"]
    _reject(session, [_price("dear", -1)])  # the same run drains its file a second time
    done = live_module(QUARANTINE, "show", "--coin", "dear")
    assert "price_too_high  discarded " in done.stdout
    assert '(a typing error)\n  {"usd": 2000.0, "last' in done.stdout


@pytest.mark.usefixtures("three_kinds")
def test_entries_are_listed_by_reason_and_coin_and_the_list_shows_which_are_open(
    live_module: Module, session: Session
) -> None:
    replay(session, Selection(coin_id="dear"), LABELS, NOW)
    listed = json.loads(
        live_module(QUARANTINE, "list", "--reason", "price_too_high", "--json").stdout
    )
    assert [(g["coin_id"], g["open"], g["replayed"], g["discarded"]) for g in listed] == [
        ("chart", 1, 0, 0),
        ("dear", 0, 1, 0),
    ]
    assert listed[0]["first_at"] == listed[0]["last_at"] == NOW.isoformat()
    done = live_module(QUARANTINE, "list")
    assert "stale_timestamp  old " in done.stdout
    assert done.stdout.endswith("3 entries are open.\n")
    done = live_module(QUARANTINE, "list", "--since", "2026-11-21")
    assert done.stdout.endswith("0 entries are open.\n")


@pytest.mark.usefixtures("three_kinds")
def test_a_replay_from_the_command_line_says_what_stays_open(live_module: Module) -> None:
    done = live_module(QUARANTINE, "replay", "--coin", "bad", "--dry-run")
    assert done.stdout == (
        "1 open entries: 0 would be loaded, 0 were stored before, 1 stay open.\n"
        "  1: rejected as negative_price\n"
    )
    done = live_module(QUARANTINE, "replay", "run/bad", "--json")
    assert json.loads(done.stdout)["refused"] == {"negative_price": 1}
    entry = json.loads(live_module(QUARANTINE, "show", "run/bad", "--json").stdout)[0]
    assert (entry["id"], json.loads(entry["raw"])["usd"]) == ("run/bad", -1.0)


def test_a_discard_needs_a_filter_or_all_and_ids_must_exist(live_module: Module) -> None:
    assert_error(live_module(QUARANTINE, "discard"), 2, "add --all")
    assert live_module(QUARANTINE, "discard", "--all").stdout == "0 open entries were discarded.\n"
    assert_error(live_module(QUARANTINE, "show", "run/x"), 2, "No entry has the id run/x")
    assert_error(live_module(QUARANTINE, "list", "--coin", "\udcff"), 2, "is not valid UTF-8")


# --- what a replay leaves alone --------------------------------------------------------------


def _replay_dear(session: Session, **changes: object) -> ReplayResult:
    """Replay one entry of `dear` with a valid price."""
    entry = _price("dear", -1.0)
    changed = {"raw": entry.raw.replace("-1.0", "5.0"), **changes}
    _reject(session, [Rejection(**{**_fields(entry), **changed})])  # type: ignore[arg-type]
    return replay(session, ALL, LABELS, NOW)


def _fields(entry: Rejection) -> dict[str, object]:
    return {name: getattr(entry, name) for name in Rejection.__dataclass_fields__}


def test_a_replay_keeps_observed_rows_and_never_moves_the_latest_price_back(
    session: Session, load: Load, fresh: FreshDatabase
) -> None:
    load([row._replace(coin_id="dear", price_usd=9.0) for row in make_rows(NOW + HOUR, coins=[1])])
    assert _replay_dear(session).loaded == 1
    latest = "SELECT price_usd FROM sentinel.coins WHERE coin_id = 'dear'"
    assert fresh.query(latest) == [(9.0,)]
    # A later run observed the same point with another price.
    result = _replay_dear(session, run_id="other", raw=_price("dear", -6).raw.replace("-", ""))
    assert (result.loaded, result.stored_before) == (0, 1)
    assert [row[1] for row in fresh.query(PRICES)] == [5.0, 9.0]


def test_of_several_entries_with_one_point_the_newest_counts(
    session: Session, fresh: FreshDatabase
) -> None:
    entries = [
        Rejection("dear", "x", _price("dear", -n).raw.replace("-", ""), f"run-{n}", NOW + n * HOUR)
        for n in (2, 3, 1)
    ]
    _reject(session, entries)
    assert replay(session, ALL, LABELS, NOW) == ReplayResult(1, 2)
    assert fresh.query(PRICES) == [("dear", 3.0, 7.0, "observed")]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"coin_id": "unlisted"}, "unknown_coin"),
        ({"raw": '{"usd": 5, "x": "y… (the first of 30,022 characters)'}, "cut"),
        ({"raw": "[1, 2]", "reason": "malformed"}, "malformed"),
    ],
)
def test_what_cannot_be_replayed_stays_open_with_its_reason(
    session: Session, fresh: FreshDatabase, changes: dict[str, object], reason: str
) -> None:
    assert _replay_dear(session, **changes).refused == {reason: 1}
    assert fresh.query("SELECT resolution FROM sentinel.rejections") == [(None,)]


def test_days_outside_the_retention_are_refused(session: Session, fresh: FreshDatabase) -> None:
    then = NOW - RETENTION + HOUR
    for shift, reason in ((-2 * HOUR, "expired"), (RETENTION + HOUR, "future_timestamp")):
        at = then + shift
        raw = json.dumps({"usd": 5.0, "last_updated_at": at.timestamp()})
        _reject(session, [Rejection("dear", "price_too_high", raw, reason, at)])
    assert replay(session, ALL, LABELS, NOW).refused == {"expired": 1, "future_timestamp": 1}
    assert fresh.query(PRICES) == []


def test_the_age_of_an_entry_counts_at_the_time_of_its_rejection(session: Session) -> None:
    at = NOW - timedelta(days=50)
    raw = json.dumps({"usd": 5.0, "last_updated_at": at.timestamp() + 900})
    result = _replay_dear(session, raw=raw, rejected_at=at, reason="future_timestamp")
    assert result.refused == {"future_timestamp": 1}


def test_two_replays_at_once_load_once(fresh: FreshDatabase, session: Session) -> None:
    _reject(session, [_price("dear", -1.0)])
    fresh.query("UPDATE sentinel.rejections SET raw = replace(raw, '-', '')")
    results: list[ReplayResult] = []

    def work() -> None:
        with Session(fresh.address()) as own:
            results.append(replay(own, ALL, LABELS, NOW))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result.loaded for result in results) == [0, 1]


# --- the bound -------------------------------------------------------------------------------


def test_beyond_the_bound_the_first_entries_of_each_coin_reason_and_day_are_stored(
    session: Session, fresh: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_records, "MAX_REJECTIONS", 30)
    for run in range(20):
        _reject(
            session,
            [
                Rejection(f"coin-{n}", "null_price", "{}", f"run-{run}", NOW + run * HOUR)
                for n in range(10)
            ],
        )
    days = fresh.query("SELECT count(*) FROM sentinel.rejections GROUP BY rejected_at::date")
    # 12 runs on the first day, which fills the bound, and 8 on the second one.
    assert sorted(days) == [(30,), (30,)]
    _reject(session, [Rejection("coin-1", "malformed", "{}", "later", NOW + 20 * HOUR)])
    assert fresh.query("SELECT count(*) FROM sentinel.rejections") == [(61,)]
