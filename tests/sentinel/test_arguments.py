"""Types of arguments, where one rule holds for several of them."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable

import pytest

from sentinel import arguments

ARABIC_INDIC = {ord("0") + digit: 0x660 + digit for digit in range(10)}


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (arguments.number(10), "3"),
        (arguments.whole_number(10), "3"),
        (arguments.interval, "3m"),
        (arguments.day, "2026-10-01"),
        (arguments.moment, "2026-10-01"),
    ],
)
def test_digits_of_other_scripts_are_refused(parse: Callable[[str], object], text: str) -> None:
    assert parse(text)
    with pytest.raises(ArgumentTypeError, match=f"'{text.translate(ARABIC_INDIC)}'"):
        parse(text.translate(ARABIC_INDIC))


def test_a_parameter_is_a_name_and_a_value() -> None:
    assert arguments.parameter("mode = a,b=c") == ("mode", "a,b=c")
    assert arguments.parameter_values("fast=6, 12,6") == ("fast", ["6", "12"])
    for text in ("fast", "fast=", "=6", "fast=a\nb"):
        with pytest.raises(ArgumentTypeError, match="must look like fast=12"):
            arguments.parameter(text)
    with pytest.raises(ArgumentTypeError, match="must look like fast=6,12,24"):
        arguments.parameter_values("fast=6,,12")
