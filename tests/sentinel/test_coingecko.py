"""The client over real HTTP on loopback; only the clock is fake."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta
from email.utils import format_datetime

import pytest

from demo.server import Fault, StandIn
from sentinel.clocks import describe_clock_error
from sentinel.coingecko import CoinGecko, RateLimiter
from sentinel.errors import ApiRefused, ApiUnavailable, CoinUnknown, ConfigurationError
from tests.conftest import FakeTime

SERVER_ERROR = Fault(500, b'{"status":500,"error":"Internal Server Error"}')
LIMITED = b'{"status":{"error_code":429,"error_message":"exceeded the Rate Limit."}}'


@pytest.fixture
def client(stand_in: StandIn, time_: FakeTime) -> CoinGecko:
    return _client(stand_in.base_url, time_)


def _client(base_url: str, time_: FakeTime, **options: bool | str) -> CoinGecko:
    return CoinGecko(
        api_key=str(options.get("api_key", "a-key")) or None,
        is_pro=bool(options.get("is_pro")),
        base_url=base_url,
        clock=time_.monotonic,
        sleep=time_.sleep,
        now=time_.now,
    )


@pytest.fixture
def closed_port() -> Iterator[str]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def _ids(count: int) -> list[str]:
    return [f"coin-{n}" for n in range(count)]


def test_prices_are_raw_bytes_with_the_requested_ids(client: CoinGecko) -> None:
    [response] = client.prices(["bitcoin", "ethereum"])
    assert response.ids == ("bitcoin", "ethereum")
    assert b'"bitcoin": {"usd": ' in response.body
    assert (client.calls, client.credits) == (1, 1)


@pytest.mark.parametrize(
    ("is_pro", "api_key", "header"),
    [(False, "k", "x-cg-demo-api-key"), (True, "k", "x-cg-pro-api-key"), (False, "", None)],
)
def test_the_key_is_sent_in_the_header_of_its_plan(
    stand_in: StandIn, time_: FakeTime, is_pro: bool, api_key: str, header: str | None
) -> None:
    list(_client(stand_in.base_url, time_, is_pro=is_pro, api_key=api_key).prices(["bitcoin"]))
    sent = stand_in.requests[0].headers
    assert {name for name in sent if name.startswith("x-cg-")} == ({header} if header else set())


def test_without_a_base_url_a_pro_key_goes_to_the_pro_host() -> None:
    assert CoinGecko(api_key="k", is_pro=True).base_url == "https://pro-api.coingecko.com/api/v3"
    assert CoinGecko(api_key="k").base_url == "https://api.coingecko.com/api/v3"


def test_a_failure_is_retried_with_growing_pauses(
    client: CoinGecko, stand_in: StandIn, time_: FakeTime
) -> None:
    stand_in.faults.extend([SERVER_ERROR] * 3)
    assert list(client.prices(["bitcoin"]))
    assert (client.calls, client.credits) == (4, 1)
    for pause, base in zip(time_.slept, (0.5, 1, 2), strict=True):
        assert base <= pause <= base + 0.5


def test_retry_after_is_respected(client: CoinGecko, stand_in: StandIn, time_: FakeTime) -> None:
    stand_in.faults.append(Fault(429, LIMITED, {"Retry-After": "60"}))
    assert list(client.prices(["bitcoin"]))
    [pause] = time_.slept
    assert 60 <= pause <= 60.5


def test_a_429_without_retry_after_waits_longer_than_a_500(
    client: CoinGecko, stand_in: StandIn, time_: FakeTime
) -> None:
    stand_in.faults.append(Fault(429, b"Throttled"))
    assert list(client.prices(["bitcoin"]))
    assert time_.slept[0] >= 4


def test_a_retry_after_beyond_the_deadline_ends_the_run_at_once(
    client: CoinGecko, stand_in: StandIn, time_: FakeTime
) -> None:
    stand_in.faults.append(Fault(429, LIMITED, {"Retry-After": "3600"}))
    with pytest.raises(ApiUnavailable, match="3600 s, and this run has no time left"):
        list(client.prices(["bitcoin"]))
    assert time_.slept == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault(200, b""),
        Fault(200, b"<html>Uh Oh!</html>"),
        Fault(200, LIMITED),
        Fault(200, b'{"bitcoin":{"usd":4'),
        Fault(200, b'{"bitcoin":{"usd":49000.1,"last_updated_at":1}}', cut=20),
        Fault(403, b"<!DOCTYPE html><title>Access denied</title>"),
    ],
)
def test_an_invalid_body_is_a_failure_and_never_a_row(
    client: CoinGecko, stand_in: StandIn, fault: Fault
) -> None:
    stand_in.faults.append(fault)
    [response] = client.prices(["bitcoin"])
    assert client.calls == 2
    assert b"usd_market_cap" in response.body


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (400, b'{"status":{"error_code":10010,"error_message":"x"}}', ConfigurationError, "IS_PRO"),
        (401, b'{"status":{"error_code":10002,"error_message":"x"}}', ConfigurationError, "KEY"),
        (401, b'{"status":{"error_code":10005,"error_message":"x"}}', ConfigurationError, "paid"),
        (403, b'{"error":"forbidden"}', ConfigurationError, "forbidden"),
        (404, b'{"error":"coin not found"}', ApiRefused, "coin not found"),
        (422, b'{"error":"Missing parameter ids"}', ApiRefused, "Missing parameter ids"),
        (302, b"", ApiRefused, "302"),
    ],
)
def test_a_rejection_is_not_retried_and_shows_coingeckos_message(
    client: CoinGecko,
    stand_in: StandIn,
    status: int,
    body: bytes,
    error: type[Exception],
    words: str,
) -> None:
    stand_in.always = Fault(status, body, {"Location": "http://127.0.0.1:9/"})
    for _ in range(3):  # refusals do not open the circuit
        with pytest.raises(error, match=words):
            list(client.prices(["bitcoin"]))
    assert (client.calls, client.credits) == (3, 0)


def test_a_url_that_is_too_long_is_split_in_halves(client: CoinGecko, stand_in: StandIn) -> None:
    stand_in.faults.extend([Fault(414, b"<html>"), Fault(414, b"<html>")])
    responses = list(client.prices(_ids(8)))
    assert [len(response.ids) for response in responses] == [2, 2, 4]
    assert sorted(i for response in responses for i in response.ids) == _ids(8)
    assert (client.calls, client.credits) == (5, 3)


def test_one_id_that_is_too_long_for_the_server_is_an_error(
    client: CoinGecko, stand_in: StandIn
) -> None:
    stand_in.always = Fault(414, b"<html>")
    with pytest.raises(ApiRefused, match="'bitcoin' too long"):
        list(client.prices(["bitcoin"]))


def test_an_unavailable_api_opens_the_circuit_within_seconds(
    closed_port: str, time_: FakeTime
) -> None:
    client = _client(closed_port, time_)
    for _ in range(2):
        with pytest.raises(ApiUnavailable, match="Connection refused"):
            list(client.prices(["bitcoin"]))
    assert client.is_exhausted
    with pytest.raises(ApiUnavailable, match="circuit is open"):
        list(client.prices(["bitcoin"]))
    assert client.calls == 8
    assert sum(time_.slept) < 12


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem"),
        ("CURL_CA_BUNDLE", "/nowhere/ca.pem"),
        ("HTTPS_PROXY", "socks5://me:hunter2@127.0.0.1:9"),
        ("HTTPS_PROXY", "http://me:hunter2@127.0.0.1:port"),
        ("ALL_PROXY", "ftp://me:hunter2@127.0.0.1:9"),
    ],
)
def test_a_setting_that_lets_no_request_out_is_named_and_not_retried(
    time_: FakeTime, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    client = _client("https://coingecko.invalid", time_)
    with pytest.raises(ConfigurationError, match=f"No request to CoinGecko.*{variable}") as caught:
        list(client.prices(["bitcoin"]))
    assert "hunter2" not in str(caught.value)
    assert (client.calls, time_.slept) == (0, [])


def test_a_server_that_never_responds_is_abandoned_in_time(
    stand_in: StandIn, time_: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentinel.coingecko.READ_TIMEOUT_SECONDS", 0.05)
    stand_in.always = Fault(200, b"{}", hang=30)
    with pytest.raises(ApiUnavailable, match="no response in time"):
        list(_client(stand_in.base_url, time_).prices(["bitcoin"]))


def test_a_body_that_does_not_end_is_abandoned_at_the_deadline(
    client: CoinGecko, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentinel.coingecko.MAX_BODY_BYTES", 1_000)
    stand_in.always = Fault(200, b'{"a":"' + b"x" * 2_000 + b'"}')
    with pytest.raises(ApiUnavailable, match="body does not end"):
        list(client.prices(["bitcoin"]))


def test_a_slow_body_is_abandoned_at_the_deadline(stand_in: StandIn, time_: FakeTime) -> None:
    client = CoinGecko(
        base_url=stand_in.base_url, clock=time_.monotonic, sleep=time_.sleep, deadline_seconds=60
    )

    def a_minute_later(body: bytes) -> bytes:
        time_.at += timedelta(seconds=61)
        return body

    stand_in.faults.append(Fault(rewrite=a_minute_later))
    with pytest.raises(ApiUnavailable, match="no time left"):
        list(client.prices(["bitcoin"]))


def test_a_200_counts_as_a_credit_even_with_an_unusable_body(
    client: CoinGecko, stand_in: StandIn
) -> None:
    stand_in.faults.append(Fault(200, b'{"bitcoin":{"usd":49000.1}}', cut=9))
    list(client.prices(["bitcoin"]))
    assert (client.calls, client.credits) == (2, 2)


@pytest.mark.parametrize("location", ["http://[::1", "http://127.0.0.1:9/", "http://x/\xff"])
def test_a_redirect_is_not_followed(client: CoinGecko, stand_in: StandIn, location: str) -> None:
    stand_in.always = Fault(301, b"moved", {"Location": location})
    with pytest.raises(ApiRefused, match="301"):
        list(client.prices(["bitcoin"]))


def test_a_demo_key_sends_thirty_calls_a_minute_and_no_more(
    client: CoinGecko, time_: FakeTime
) -> None:
    for _ in range(30):
        list(client.prices(["bitcoin"]))
    assert time_.slept == []
    list(client.prices(["bitcoin"]))
    assert time_.slept == [60.0]


def test_keyless_calls_keep_a_minimum_pause(stand_in: StandIn, time_: FakeTime) -> None:
    client = _client(stand_in.base_url, time_, api_key="")
    for _ in range(3):
        list(client.prices(["bitcoin"]))
    assert time_.slept == [1.5, 1.5]


def test_failed_tries_count_toward_the_minute_too(
    client: CoinGecko, stand_in: StandIn, time_: FakeTime
) -> None:
    for _ in range(27):
        list(client.prices(["bitcoin"]))
    stand_in.faults.extend([SERVER_ERROR] * 3)
    list(client.prices(["bitcoin"]))
    assert (client.calls, client.credits) == (31, 28)
    assert sum(time_.slept) == pytest.approx(60)


def test_the_rate_limiter_waits_for_the_oldest_call_of_the_minute() -> None:
    pace = RateLimiter(calls_per_minute=2, seconds_between_calls=0)
    assert pace.wait_seconds(100) == 0
    pace.note_call(100)
    pace.note_call(130)
    assert pace.wait_seconds(131) == 29
    assert pace.wait_seconds(160) == 0


def test_lists_are_read_completely(client: CoinGecko, stand_in: StandIn) -> None:
    assert len(client.coin_list()) == len(stand_in.market.coins)
    assert client.markets(1)[0]["market_cap_rank"] == 1
    assert client.markets(99) == []
    assert stand_in.paths()[-1].endswith("order=market_cap_desc&per_page=250&page=99")


def test_the_key_is_in_no_message_even_if_the_server_repeats_it(
    stand_in: StandIn, time_: FakeTime
) -> None:
    client = _client(stand_in.base_url, time_, api_key="s3cret-key")
    message = b'{"status":{"error_code":10002,"error_message":"no such key: s3cret-key"}}'
    stand_in.always = Fault(401, message)
    with pytest.raises(ConfigurationError) as caught:
        list(client.prices(["bitcoin"]))
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(caught.value.__cause__)


def test_a_chart_costs_one_call_and_one_credit(client: CoinGecko, stand_in: StandIn) -> None:
    body = client.market_chart("bitcoin", 1)
    assert body.startswith(b'{"prices": [[')
    assert (client.calls, client.credits) == (1, 1)
    assert stand_in.paths() == [
        "/api/v3/coins/bitcoin/market_chart?vs_currency=usd&days=1&precision=full"
    ]


def test_an_unusual_id_is_encoded_in_the_path(client: CoinGecko, stand_in: StandIn) -> None:
    with pytest.raises(CoinUnknown, match="coin not found"):
        client.market_chart("a/b?c", 1)
    assert stand_in.paths()[0].startswith("/api/v3/coins/a%2Fb%3Fc/market_chart?")


def test_a_chart_with_an_error_inside_is_retried(
    client: CoinGecko, stand_in: StandIn, time_: FakeTime
) -> None:
    stand_in.faults.append(Fault(200, LIMITED))
    assert client.market_chart("bitcoin", 1)
    assert (client.calls, len(time_.slept)) == (2, 1)


@pytest.mark.parametrize("minutes", [-70, 0, 90])
def test_the_offset_of_this_clock_is_read_from_the_date_header(
    client: CoinGecko, stand_in: StandIn, time_: FakeTime, minutes: int
) -> None:
    offset = timedelta(minutes=minutes)
    stand_in.now = (time_.now() - offset).timestamp
    assert client.clock_offset is None
    list(client.prices(["bitcoin"]))
    assert client.clock_offset == offset


def test_the_old_date_of_a_cached_response_and_an_unreadable_one_do_not_count(
    client: CoinGecko, stand_in: StandIn, time_: FakeTime
) -> None:
    dates = (format_datetime(time_.now() - timedelta(minutes=4)), "noon", "")
    stand_in.faults.extend(Fault(500, b"", {"Date": date}) for date in dates)
    list(client.prices(["bitcoin"]))
    assert client.clock_offset is not None
    assert abs(client.clock_offset) <= timedelta(seconds=1)


@pytest.mark.parametrize(
    ("minutes", "words"),
    [
        (None, None),
        (-10, None),
        (9, None),
        (-11, "11 minutes behind CoinGecko's: set it"),
        (100_800, "100,800 minutes ahead of CoinGecko's"),
    ],
)
def test_a_clock_error_of_more_than_ten_minutes_is_described(
    minutes: float | None, words: str | None
) -> None:
    described = describe_clock_error(None if minutes is None else timedelta(minutes=minutes))
    assert (described is None) == (words is None)
    assert words is None or words in (described or "")
