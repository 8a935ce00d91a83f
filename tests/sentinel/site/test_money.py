"""Money on the public page."""

from __future__ import annotations

import pytest

from sentinel import amounts
from sentinel.site import money

AMOUNTS = [0, 1e-19, 4.7e-13, 0.0000047, 0.07657, 0.99995, 0.9999999, 1, 1.005, 99.995, 100, 1234.5]


@pytest.mark.parametrize("amount", [*AMOUNTS, 92_140.12, 1_497_276_950.4, 1e18])
def test_prices_are_written_as_in_the_messages_and_on_the_dashboard(amount: float) -> None:
    assert money.format_usd(amount) == amounts.format_money(amount, "USD", "en_US")
    assert money.format_idr(amount) == amounts.format_money(amount, "IDR", "id_ID")


def test_large_amounts_have_a_unit_and_two_decimal_places() -> None:
    large = [1_903_411_220_118, 85_430_424_587, 999_999_999, 1_234_567, 999_996, 950, 0]
    short = ["$1.90T", "$85.43B", "$1.00B", "$1.23M", "$1.00M", "$950", "$0"]
    assert [money.format_compact_usd(amount) for amount in large] == short
    assert money.format_whole_usd(large[0]) == "$1,903,411,220,118"


def test_a_change_has_a_sign_and_a_direction_unless_it_is_rounded_to_zero() -> None:
    changes = {
        0.0312: "+3.1%",
        -0.0312: "\N{MINUS SIGN}3.1%",
        0.0004: "0.0%",
        -0.0004: "0.0%",
        12.5: "+1,250.0%",
    }
    assert [money.format_change(change) for change in changes] == list(changes.values())
    directions = ["rise", "fall", "", "", "rise"]
    assert [money.classify_change(change) for change in changes] == directions


def test_an_unknown_amount_is_a_dash() -> None:
    assert money.format_usd(None) == money.format_compact_usd(None) == "—"
