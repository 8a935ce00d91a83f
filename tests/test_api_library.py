"""The meaning of CoinGecko's responses. Bodies are recorded ones; long bodies are shortened."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_library import (
    DEMO,
    KEYLESS,
    PRO,
    Meaning,
    ResponseStatus,
    choose_plan,
    chunk_ids,
    decipher_response,
    price_url,
    retry_after_seconds,
)
from tests.conftest import NOW

BASE = KEYLESS.base_url
HTML = b"<!DOCTYPE html>\n<head>\n<title>Access denied | api.coingecko.com used Cloudflare</title>"
RATE_LIMITED = b'{"status":{"error_code":429,"error_message":"You\'ve exceeded the Rate Limit."}}'
NEEDS_PRO = b'{"status":{"error_code":10005,"error_message":"limited to PRO API subscribers."}}'
WRONG_HOST = b'{"status":{"error_code":10010,"error_message":"If you are using Pro API key, ..."}}'
MIRROR = b'{"status":{"error_code":10011,"error_message":"If you are using Demo API key, ..."}}'
NO_KEY = b'{"status":{"error_code":10002,"error_message":"API Key Missing"}}'
TOO_OLD = (
    b'{"error":{"status":{"timestamp":"2026-10-07T13:32:10.955+00:00","error_code":10012,'
    b'"error_message":"Your request exceeds the allowed time range."}}}'
)


def _decipher(status: int, body: bytes, expected_keys: list[str]) -> ResponseStatus:
    return decipher_response(
        status, body, {}, endpoint="/simple/price", expected_keys=expected_keys, now=NOW
    )


def _ids(count: int) -> list[str]:
    return [f"coin-{n}" for n in range(count)]


@pytest.mark.parametrize(
    ("status", "body", "meaning", "words"),
    [
        (429, RATE_LIMITED, Meaning.RETRY, "exceeded the Rate Limit"),
        (429, b"Throttled", Meaning.RETRY, "Throttled"),
        (500, b'{"status":500,"error":"Internal Server Error"}', Meaning.RETRY, "Internal"),
        (503, HTML, Meaning.RETRY, "503"),
        (403, HTML, Meaning.RETRY, "403"),
        (1020, HTML, Meaning.RETRY, "1020"),
        (403, b'{"error":"forbidden"}', Meaning.WRONG_KEY, "COINGECKO_API_KEY"),
        (401, NO_KEY, Meaning.WRONG_KEY, "Set COINGECKO_API_KEY"),
        (401, NEEDS_PRO, Meaning.WRONG_KEY, "paid plan"),
        (400, WRONG_HOST, Meaning.WRONG_KEY, "COINGECKO_IS_PRO=true"),
        (400, MIRROR, Meaning.WRONG_KEY, "unset COINGECKO_IS_PRO"),
        (401, TOO_OLD, Meaning.REFUSED, "365 days"),
        (404, b'{"error":"coin not found"}', Meaning.REFUSED, "coin not found"),
        (422, b'{"error":"Missing parameter ids"}', Meaning.REFUSED, "Missing parameter ids"),
        (301, b"", Meaning.REFUSED, "301"),
        (414, HTML, Meaning.TOO_LONG, "414"),
        (200, b"", Meaning.RETRY, "not JSON"),
        (200, HTML, Meaning.RETRY, "not JSON"),
        (200, b'{"bitcoin":{"usd":49', Meaning.RETRY, "not JSON"),
        (200, b"[" * 100_000, Meaning.RETRY, "not JSON"),
        (200, b"[]", Meaning.RETRY, "error inside"),
        (200, RATE_LIMITED, Meaning.RETRY, "exceeded"),
        (200, TOO_OLD, Meaning.RETRY, "time range"),
        (200, b'{"error":"coin not found"}', Meaning.RETRY, "coin not found"),
        (200, b'{"status":500,"error":"Internal Server Error"}', Meaning.RETRY, "Internal"),
        (200, b'{"bitcoin":{"usd":49357}}', Meaning.OK, ""),
        (200, b'{"bitcoin":{}}', Meaning.OK, ""),
        (200, b"{}", Meaning.OK, ""),
        (200, b'{"message":"Throttled"}', Meaning.RETRY, "none of the requested coins"),
        (403, b"", Meaning.RETRY, "403"),
        (200, b'{"status":{"usd":0.02,"last_updated_at":1621000000}}', Meaning.OK, ""),
    ],
)
def test_each_recorded_response_has_one_meaning(
    status: int, body: bytes, meaning: Meaning, words: str
) -> None:
    response = _decipher(status, body, ["bitcoin", "status"])
    assert response.meaning is meaning
    assert words in response.message


def test_an_empty_object_is_valid_for_few_ids_and_an_error_for_many() -> None:
    assert _decipher(200, b"{}", _ids(10)).meaning is Meaning.OK
    assert _decipher(200, b"{}", _ids(11)).meaning is Meaning.RETRY


def test_a_list_is_expected_if_no_ids_were_requested() -> None:
    assert _decipher(200, b'[{"id":"x"}]', []).meaning is Meaning.OK
    assert _decipher(200, b'{"a":1}', []).meaning is Meaning.RETRY


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("119", 119.0),
        ("0", 0.0),
        ("-5", 0.0),
        ("Fri, 20 Nov 2026 12:01:00 GMT", 30.0),
        ("soon", None),
        ("", None),
        ("9" * 400, None),
        ("1 Jan 2026 00:00:00 +99999999999999999999", None),
        (None, None),
    ],
)
def test_retry_after_is_a_number_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, NOW) == seconds


def test_a_key_belongs_to_a_plan_with_its_host_and_header() -> None:
    assert choose_plan(None, is_pro=False) is KEYLESS
    assert choose_plan("k", is_pro=False) is DEMO
    assert choose_plan("k", is_pro=True) is PRO
    assert (PRO.key_header, "pro-api" in PRO.base_url) == ("x-cg-pro-api-key", True)
    assert (DEMO.key_header, DEMO.base_url) == ("x-cg-demo-api-key", KEYLESS.base_url)


def test_ids_are_sorted_and_joined_by_bare_commas() -> None:
    url = price_url(BASE, ["ethereum", "bitcoin"])
    assert "ids=bitcoin,ethereum&vs_currencies=usd,idr&" in url
    assert "precision=full" in url


def test_unusual_ids_are_encoded_and_nothing_else_changes() -> None:
    assert "ids=-11,_,a%20b,neo%C2%A0&" in price_url(BASE, ["_", "-11", "neo\u00a0", "a b"])


def test_five_hundred_coins_and_fifteen_probes_fit_in_one_call() -> None:
    ids, probes = [f"coin-{n}" for n in range(500)], [f"probe-{n}" for n in range(40)]
    [chunk] = chunk_ids(BASE, ids, probes)
    assert len(chunk) == 515
    assert set(probes[:15]) < set(chunk)


def test_probes_alone_cause_no_call() -> None:
    assert list(chunk_ids(BASE, [], ["probe"])) == []


@given(
    st.lists(st.text(min_size=1, max_size=72), unique=True, max_size=1_200),
    st.lists(st.text(min_size=1, max_size=72), unique=True, max_size=60),
)
def test_chunks_contain_every_id_once_and_keep_the_limits(
    ids: list[str], probes: list[str]
) -> None:
    other_probes = [probe for probe in probes if probe not in ids]
    chunks = list(chunk_ids(BASE, ids, other_probes))
    requested = [coin_id for chunk in chunks for coin_id in chunk]
    assert len(requested) == len(set(requested))
    assert set(ids) <= set(requested) <= set(ids) | set(other_probes)
    for chunk in chunks:
        assert len(chunk) <= 515
        assert len(chunk) == 1 or len(price_url(BASE, chunk)) <= 7_500


def test_the_largest_real_shape_of_ids_fits_the_url() -> None:
    # 18,981 real ids have 11.5 characters on average, at most 72.
    ids = [f"{'x' * 60}-{n}" for n in range(500)]
    assert all(len(price_url(BASE, chunk)) <= 7_500 for chunk in chunk_ids(BASE, ids))
    assert sum(len(chunk) for chunk in chunk_ids(BASE, ids)) == 500


def test_an_error_message_is_one_short_line() -> None:
    body = json.dumps({"error": "a\nb\r\x1b[31m" + "x" * 5_000}).encode()
    message = _decipher(404, body, ["x"]).message
    assert "\n" not in message
    assert "\x1b" not in message
    assert len(message) < 300
