"""A request that the key's plan does not cover ends in a clear message, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from demo.server import Fault, StandIn
from ingest import RunReport
from safe_zone import Settings
from sentinel.coingecko import CoinGecko
from sentinel.errors import ApiRefused, ConfigurationError

PRO_ONLY = "This request is limited to PRO API subscribers."
WRONG_HOST = (
    "If you are using Pro API key, please change your root URL from api.coingecko.com to "
    "pro-api.coingecko.com"
)


def _error(status: int, code: int, message: str) -> Fault:
    """A response in CoinGecko's recorded error format."""
    content = {"status": {"error_code": code, "error_message": message}}
    return Fault(status, json.dumps(content).encode())


def _too_old() -> Fault:
    """The recorded format of code 10012, which nests the status in an error."""
    message = "Your request exceeds the allowed time range."
    content = {"error": {"status": {"error_code": 10012, "error_message": message}}}
    return Fault(401, json.dumps(content).encode())


@pytest.mark.parametrize(
    ("fault", "problem", "remedy"),
    [
        (_error(401, 10002, "API Key Missing"), "API Key Missing", "Set COINGECKO_API_KEY"),
        (_error(401, 10005, PRO_ONLY), PRO_ONLY, "set a Pro key and COINGECKO_IS_PRO=true"),
        (_error(400, 10010, WRONG_HOST), "pro-api.coingecko.com", "set COINGECKO_IS_PRO=true"),
        (_error(400, 10011, "mirror"), "mirror", "unset COINGECKO_IS_PRO"),
        (Fault(403, b'{"error":"forbidden"}'), "forbidden", "Check COINGECKO_API_KEY"),
    ],
    ids=["no key", "Pro only", "Pro key on the free host", "Demo key on the paid host", "no code"],
)
def test_the_message_names_endpoint_problem_and_remedy(
    stand_in: StandIn, fault: Fault, problem: str, remedy: str
) -> None:
    stand_in.always = fault
    client = CoinGecko(api_key="a-key", base_url=stand_in.base_url)
    with pytest.raises(ConfigurationError) as caught:
        client.market_chart("bitcoin", 1)
    message = str(caught.value)
    assert message.startswith("CoinGecko rejects the key or plan for /coins/bitcoin/market_chart")
    assert problem in message
    assert remedy in message
    assert len(stand_in.requests) == 1  # a retry would not help


def test_a_period_beyond_the_plan_is_an_error_of_the_request_and_not_of_the_key(
    stand_in: StandIn,
) -> None:
    stand_in.always = _too_old()
    client = CoinGecko(api_key="a-key", base_url=stand_in.base_url)
    with pytest.raises(ApiRefused, match=r"/coins/bitcoin/market_chart.*last 365 days"):
        client.market_chart("bitcoin", 400)


def test_a_run_that_needs_a_pro_key_ends_in_exit_2_and_stores_nothing(
    stand_in: StandIn, settings: Settings, in_process: Callable[[Settings], RunReport]
) -> None:
    stand_in.always = _error(401, 10005, PRO_ONLY)
    report = in_process(replace(settings, limit=20))
    assert (report.status, report.exit_code, report.rows_valid) == ("failed", 2, 0)
    assert "/coins/list" in report.message
    assert "set a Pro key and COINGECKO_IS_PRO=true" in report.message


def test_a_restricted_history_costs_a_normal_run_only_its_backfill(
    stand_in: StandIn, settings: Settings, in_process: Callable[[Settings], RunReport]
) -> None:
    in_process(replace(settings, limit=20))
    stand_in.always = replace(_error(401, 10005, PRO_ONLY), path="/market_chart")
    report = in_process(replace(settings, limit=20))
    assert (report.status, report.rows_valid) == ("ok", 20)
