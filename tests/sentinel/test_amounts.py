"""The notation of numbers in both languages."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel import amounts, times
from sentinel.amounts import MINUS, UNKNOWN, Amount, Currency, Language

# Each with its text in English and in Indonesian.
PRICES: list[tuple[Amount, Currency, str, str]] = [
    (92_140.12, "USD", "$92,140.12", "US$92.140,12"),
    (1_474_248_000.4, "IDR", "Rp1,474,248,000", "Rp1.474.248.000"),
    (0.07657, "USD", "$0.07657", "US$0,07657"),
    (4.7e-13, "USD", "$0.0000000000004700", "US$0,0000000000004700"),
    (1e-19, "USD", "$0.00", "US$0,00"),
    (0.99996, "USD", "$1.00", "US$1,00"),  # not $1.0000: the rounded value decides
    (99.996, "IDR", "Rp100", "Rp100"),
    (57.3, "IDR", "Rp57.30", "Rp57,30"),
    (-12.5, "USD", f"{MINUS}$12.50", f"{MINUS}US$12,50"),
    (1e21, "USD", "$1.00e+21", "US$1,00e+21"),
]
COMPACT: list[tuple[Amount, Currency, str, str]] = [
    (1_703_411_220_118, "USD", "$1.70T", "US$1,70 T"),
    (85_430_424_587, "USD", "$85.4B", "US$85,4 M"),
    (950_000_000, "IDR", "Rp950M", "Rp950 jt"),
    (999_999_999, "USD", "$1.00B", "US$1,00 M"),
    (12_345, "USD", "$12.3K", "US$12,3 rb"),
    (3.001024e16, "IDR", "Rp30,010T", "Rp30.010 T"),
    (950.4, "USD", "$950", "US$950"),
    (9.5, "USD", "$9.50", "US$9,50"),
    (0.004, "USD", "$0", "US$0"),
    (0.25, "IDR", "Rp0.25", "Rp0,25"),
    (-4_000_000_000, "USD", f"{MINUS}$4.00B", f"{MINUS}US$4,00 M"),
]


@pytest.mark.parametrize("language", ["en", "id"])
def test_the_language_decides_the_notation_of_every_currency(language: Language) -> None:
    column = 2 if language == "en" else 3
    for cases, write in (
        (PRICES, amounts.format_price),
        (COMPACT, amounts.format_compact_amount),
    ):
        expected = [case[column] for case in cases]
        assert [write(amount, currency, language) for amount, currency, *_ in cases] == expected


def test_an_own_amount_has_cents_or_whole_rupiah_and_no_residue() -> None:
    own = amounts.format_own_amount
    assert own(Decimal("-0.0000000000000000000007"), "IDR", "id", signed=True) == "Rp0"
    assert own("-0.004", "USD", "en", signed=True) == "$0.00"
    assert own("14120.505", "USD", "en", signed=True) == "+$14,120.50"
    assert own("-15510422.4", "IDR", "en") == f"{MINUS}Rp15,510,422"
    assert amounts.format_whole_amount(1_903_411_220_118.4, "USD", "en") == "$1,903,411,220,118"


def test_a_change_has_a_sign_and_a_direction_unless_it_is_rounded_to_zero() -> None:
    changes = {0.0312: "+3.1%", -0.0312: f"{MINUS}3.1%", 0.0004: "0.0%", -0.0004: "0.0%"}
    changes |= {9.9994: "+999.9%", 12.5: "+1,250%"}
    written = [amounts.format_percent(change, "en", signed=True) for change in changes]
    assert written == list(changes.values())
    directions = ["rise", "fall", "", "", "rise", "rise"]
    assert [amounts.classify_change(change) for change in changes] == directions
    assert amounts.format_percent(0.0312, "id") == "3,1%"


def test_an_unknown_number_is_a_dash() -> None:
    money = (amounts.format_price, amounts.format_own_amount, amounts.format_compact_amount)
    assert {write(None, "USD", "en") for write in money} == {UNKNOWN}
    numbers = (amounts.format_percent, amounts.format_quantity, amounts.format_count)
    assert {write(None, "id") for write in numbers} == {UNKNOWN}


def test_an_age_has_the_singular_of_its_unit() -> None:
    ages = {1: "1 second", 99: "99 seconds", 100: "2 minutes", 6000: "2 hours", 172_800: "2 days"}
    assert [times.format_age(timedelta(seconds=age)) for age in ages] == list(ages.values())
    assert times.format_age(timedelta(minutes=47), "id", is_short=True) == "47 mnt"
    durations = {1: "1 detik", 100: "100 detik", 7000: "117 menit", 86_400 * 15: "2 minggu"}
    written = [times.format_duration(timedelta(seconds=length), "id") for length in durations]
    assert written == list(durations.values())


decimals = st.decimals("-1e19", "1e19", allow_nan=False) | st.decimals(
    "-1", "1", allow_nan=False, places=24
)


@given(decimals, st.sampled_from(["USD", "IDR"]), st.sampled_from(["en", "id"]))
def test_every_number_is_read_back_within_its_rounding(
    value: Decimal, currency: Currency, language: Language
) -> None:
    size = abs(value)
    leading = Decimal(1).scaleb(size.adjusted() - 3) / 2 if size else Decimal()
    places = Decimal("1e-18") / 2
    cases = {
        amounts.format_price(value, currency, language): max(
            min(Decimal("0.5"), leading) if size < 1 else Decimal("0.5"), places
        ),
        amounts.format_own_amount(value, currency, language, signed=True): Decimal("0.5"),
        amounts.format_quantity(value, language): places,
    }
    for text, rounding in cases.items():
        assert len(text) <= 46
        if size < 10**18:
            number = _read(text, language)
            with localcontext(prec=60):
                assert abs(number - value) <= rounding
            assert number or not set("+-" + MINUS) & set(text)  # zero has no sign
    compact = amounts.format_compact_amount(value, currency, language)
    digits = [character for character in compact if character.isdigit()]
    assert len(digits) == (3 if round(size, 2) else 1) or size >= 10**15 - 5 * 10**11
    assert len(compact) <= 16


def _read(text: str, language: Language) -> Decimal:
    number = amounts.parse_amount(text.lstrip("+USRp$" + MINUS), language)
    assert number is not None
    return number.copy_negate() if text.startswith(MINUS) else number
