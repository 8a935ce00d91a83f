"""The Schema Shield: an invalid coin does not affect the others, and each has a reason."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safe_zone import MAX_PRICE
from sentinel.models import MarketRow
from tests.conftest import NOW
from transform import transform_and_validate, validate_chart

STAMP = int(NOW.timestamp()) - 40
GOOD = {"usd": 1.5, "usd_market_cap": 10.0, "usd_24h_vol": 2.0, "last_updated_at": STAMP}
REASONS = {
    "null_price",
    "not_a_number",
    "negative_price",
    "price_too_high",
    "missing_timestamp",
    "future_timestamp",
    "stale_timestamp",
    "malformed",
}


def _body(content: object) -> bytes:
    return json.dumps(content).encode()


def _reason_of(entry: object) -> str | None:
    batch = transform_and_validate(_body({"odd": entry, "good": GOOD}), ["odd", "good"], NOW)
    assert [row.coin_id for row in batch.rows if row.coin_id == "good"] == ["good"]
    return batch.rejections[0].reason if batch.rejections else None


def test_a_good_coin_becomes_a_row_with_zone_aware_utc() -> None:
    [row] = transform_and_validate(_body({"bitcoin": GOOD}), ["bitcoin"], NOW).rows
    at = datetime.fromtimestamp(STAMP, UTC)
    assert row == MarketRow("bitcoin", at, 1.5, 10.0, 2.0, "observed")
    assert row.observed_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (GOOD | {"usd": None}, "null_price"),
        ({}, "null_price"),
        ({"last_updated_at": STAMP}, "null_price"),
        (GOOD | {"usd": "1.5"}, "not_a_number"),
        (GOOD | {"usd": True}, "not_a_number"),
        (GOOD | {"usd": [1.5]}, "not_a_number"),
        (GOOD | {"usd": math.nan}, "not_a_number"),
        (GOOD | {"usd": math.inf}, "not_a_number"),
        (GOOD | {"usd": -0.01}, "negative_price"),
        (GOOD | {"usd": MAX_PRICE * 1.01}, "price_too_high"),
        (GOOD | {"last_updated_at": None}, "missing_timestamp"),
        ({"usd": 1.5}, "missing_timestamp"),
        (GOOD | {"last_updated_at": "yesterday"}, "malformed"),
        (GOOD | {"last_updated_at": True}, "malformed"),
        (GOOD | {"last_updated_at": STAMP + 11 * 60 + 40}, "future_timestamp"),
        (GOOD | {"last_updated_at": STAMP * 1_000}, "future_timestamp"),
        (GOOD | {"last_updated_at": 1e300}, "future_timestamp"),
        (GOOD | {"last_updated_at": math.nan}, "future_timestamp"),
        (GOOD | {"last_updated_at": STAMP - 61 * 86_400}, "stale_timestamp"),
        (GOOD | {"last_updated_at": 0}, "stale_timestamp"),
        (GOOD | {"last_updated_at": -1e300}, "stale_timestamp"),
        (None, "malformed"),
        ([], "malformed"),
        (1.5, "malformed"),
        ("1.5", "malformed"),
        (GOOD, None),
        (GOOD | {"usd": 0}, None),
        (GOOD | {"usd": 9e-18}, None),
        (GOOD | {"usd": MAX_PRICE}, None),
        (GOOD | {"last_updated_at": STAMP + 10 * 60}, None),
        (GOOD | {"last_updated_at": float(STAMP)}, None),
        (GOOD | {"last_updated_at": STAMP - 59 * 86_400}, None),
    ],
)
def test_each_fault_has_its_reason_and_the_other_coin_stays_valid(
    entry: object, reason: str | None
) -> None:
    assert _reason_of(entry) == reason


@pytest.mark.parametrize("unknown", [None, "lots", True, -1, math.nan, math.inf, [], {}])
def test_invalid_caps_and_volumes_count_as_unknown_and_the_row_stays(unknown: object) -> None:
    entry = GOOD | {"usd_market_cap": unknown, "usd_24h_vol": unknown, "idr": unknown}
    [row] = transform_and_validate(_body({"odd": entry}), ["odd"], NOW).rows
    assert (row.market_cap_usd, row.volume_24h_usd, row.price_usd) == (None, None, 1.5)


def test_missing_caps_and_volumes_count_as_unknown() -> None:
    entry = {"usd": 1.5, "last_updated_at": STAMP}
    [row] = transform_and_validate(_body({"odd": entry}), ["odd"], NOW).rows
    assert (row.market_cap_usd, row.volume_24h_usd) == (None, None)


def test_a_cap_of_zero_is_unknown_and_a_volume_of_zero_is_valid() -> None:
    entry = GOOD | {"usd_market_cap": 0, "usd_24h_vol": 0}
    [row] = transform_and_validate(_body({"odd": entry}), ["odd"], NOW).rows
    assert (row.market_cap_usd, row.volume_24h_usd) == (None, 0.0)


def test_a_coin_that_is_not_returned_is_missing_and_an_unrequested_one_is_ignored() -> None:
    batch = transform_and_validate(
        _body({"bitcoin": GOOD, "uninvited": GOOD}), ["bitcoin", "ghost"], NOW
    )
    assert batch.missing == ("ghost",)
    assert [row.coin_id for row in batch.rows] == ["bitcoin"]


def test_a_rejection_keeps_the_raw_entry_and_the_run() -> None:
    entry = {"usd": "1.5", "last_updated_at": STAMP}
    [rejection] = transform_and_validate(_body({"odd": entry}), ["odd"], NOW, "run-1").rejections
    assert json.loads(rejection.raw) == entry
    assert (rejection.run_id, rejection.rejected_at) == ("run-1", NOW)


def test_the_rupiah_rate_is_the_median_over_coins() -> None:
    quotes = {f"c{n}": GOOD | {"idr": 1.5 * rate} for n, rate in enumerate((16_000, 16_200, 1))}
    assert transform_and_validate(_body(quotes), quotes, NOW).idr_per_usd == 16_000
    assert transform_and_validate(_body({"a": GOOD}), ["a"], NOW).idr_per_usd is None
    tiny = {"a": GOOD | {"usd": 5e-324, "idr": 1.0}}
    assert transform_and_validate(_body(tiny), ["a"], NOW).idr_per_usd is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_QUOTES = st.fixed_dictionaries(
    {},
    optional={
        "usd": _JSON,
        "usd_market_cap": _JSON,
        "usd_24h_vol": _JSON,
        "idr": _JSON,
        "last_updated_at": _JSON | st.integers(STAMP - 10**7, STAMP + 10**4),
    },
)


@given(st.dictionaries(st.text(), _QUOTES | _JSON, max_size=8), st.lists(st.text(), max_size=4))
def test_every_requested_coin_is_exactly_one_of_row_rejection_or_missing(
    content: dict[str, Any], extra: list[str]
) -> None:
    requested = {*content, *extra}
    batch = transform_and_validate(_body(content | {"good": GOOD}), {*requested, "good"}, NOW)
    rows = [row.coin_id for row in batch.rows]
    rejected = [rejection.coin_id for rejection in batch.rejections]
    assert sorted([*rows, *rejected, *batch.missing]) == sorted({*requested, "good"})
    assert "good" in rows
    assert {rejection.reason for rejection in batch.rejections} <= REASONS
    for row in batch.rows:
        assert 0 <= row.price_usd <= MAX_PRICE
        assert NOW - timedelta(days=60) <= row.observed_at <= NOW + timedelta(minutes=10)


# --- charts ------------------------------------------------------------------------------------


def _chart(*prices: object, **series: object) -> bytes:
    return json.dumps({"prices": prices, **series}).encode()


MS = int(NOW.timestamp() * 1000)


def test_a_chart_becomes_sorted_backfilled_rows_with_each_time_once() -> None:
    body = _chart([MS, 2.0], [MS - 300_000, 1.0], [MS, 3.0])
    rows, rejections = validate_chart(body, "bitcoin", NOW)
    assert [(row.price_usd, row.source) for row in rows] == [
        (1.0, "backfilled"),
        (3.0, "backfilled"),
    ]
    assert rejections == []


def test_a_chart_row_without_its_own_cap_or_volume_has_none() -> None:
    body = _chart(
        [MS - 1000, 1.0], [MS, 2.0], market_caps=[[MS, 50.0]], total_volumes=[[MS, "x"], 5]
    )
    rows, _ = validate_chart(body, "bitcoin", NOW)
    assert [(r.market_cap_usd, r.volume_24h_usd) for r in rows] == [(None, None), (50.0, None)]


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ([MS, None], "null_price"),
        ([MS, "1.0"], "not_a_number"),
        ([MS, -1.0], "negative_price"),
        ([MS, 2e9], "price_too_high"),
        ([MS + 3_600_000, 1.0], "future_timestamp"),
        ([0, 1.0], "stale_timestamp"),
        ([None, 1.0], "missing_timestamp"),
        (["now", 1.0], "missing_timestamp"),
    ],
)
def test_chart_points_are_validated_like_prices(point: list[object], reason: str) -> None:
    rows, [rejection] = validate_chart(_chart(point, [MS - 1000, 1.0]), "bitcoin", NOW, "run")
    assert (len(rows), rejection.reason, rejection.coin_id) == (1, reason, "bitcoin")


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"prices": null}', b'{"prices": 5}'])
def test_a_chart_without_prices_is_malformed(body: bytes) -> None:
    rows, [rejection] = validate_chart(body, "bitcoin", NOW)
    assert (rows, rejection.reason) == ([], "malformed")


def test_chart_entries_that_are_not_pairs_are_skipped() -> None:
    assert validate_chart(_chart(None, [1], "x", [MS, 1.0, 2.0]), "bitcoin", NOW) == ([], [])


def test_a_long_rejected_entry_keeps_its_beginning_and_its_length() -> None:
    body = json.dumps({"bitcoin": {"usd": None, "x": "y" * 30_000}}).encode()
    [rejection] = transform_and_validate(body, ["bitcoin"], NOW).rejections
    assert rejection.raw.startswith('{"usd": null, "x": "yyy')
    assert rejection.raw.endswith("y… (the first of 30,022 characters)")
    assert len(rejection.raw) < 2_100


def test_a_long_invalid_point_of_a_chart_is_cut_too() -> None:
    body = json.dumps({"prices": [[MS, "x" * 30_000]]}).encode()
    [rejection] = validate_chart(body, "bitcoin", NOW)[1]
    assert len(rejection.raw) < 2_100
