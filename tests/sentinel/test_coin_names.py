"""Symbols and names of coins, which strangers choose, are cleaned where they enter."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel import coin_names


@pytest.mark.parametrize(
    "name",
    [
        "Bitcoin",
        "yearn.finance",
        "CryptoPunk #7171",
        "Ünï (wormhole)",
        "\u5e01\u5b89\u4eba\u751f",
        "\U0001f40b",
        "$",
    ],
)
def test_usual_names_stay_as_they_are(name: str) -> None:
    assert coin_names.clean_name(name) == name


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("\u202eBitcoin", "Bitcoin"),  # would reverse the figures after it
        ("Kangaroo the Jumping Co\u200bin", "Kangaroo the Jumping Coin"),
        ("Solana\u2028Shib\xa0", "Solana Shib"),
        ("a\ud800\x9b31mb", "a 31mb"),  # \x9b begins a command of some terminals
        ("https://evil.example/airdrop", "https evil.example/airdrop"),
        ("www.evil.example", "www evil.example"),
        ("http:\u200b//evil.example", "http evil.example"),
        ("me@evil.example", "me(at)evil.example"),
        ('=HYPERLINK("http://evil.example")', '\'=HYPERLINK("http evil.example")'),
        ("\u2066 @gork", "'@gork"),
        ("x" * 1_000, "x" * 100),
    ],
)
def test_a_hostile_name_loses_what_makes_it_dangerous(name: str, cleaned: str) -> None:
    assert coin_names.clean_name(name) == cleaned


@given(st.text())
def test_a_clean_text_is_printable_short_and_stays_as_it_is(text: str) -> None:
    cleaned = coin_names.clean_name(text)
    assert all(unicodedata.category(char)[0] != "C" for char in cleaned)
    assert len(cleaned) <= coin_names.MAX_NAME_CHARACTERS
    assert not cleaned.startswith(("=", "+", "-", "@"))
    assert "://" not in cleaned
    assert coin_names.clean_name(cleaned) == cleaned
