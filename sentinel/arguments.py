"""What was typed on the sandbox's command line, or why it means nothing."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from sentinel.errors import ConfigurationError

MOST_VALUES = 1_000  # of one parameter


def amount(
    flag: str, word: str | None, default: Decimal, most: Decimal, *, least: Decimal | None = None
) -> Decimal:
    """A number up to `most`, from `least` on; without that above 0. Raises ConfigurationError."""
    if word is None:
        return default
    try:
        number = Decimal(word)
    except InvalidOperation:
        number = Decimal("NaN")
    lower = "above 0" if least is None else f"{least} or more"
    is_low = number.is_finite() and (number <= 0 if least is None else number < least)
    if not number.is_finite() or is_low or number > most:
        raise ConfigurationError(
            f"{flag} '{word[:40]}' must be a number {lower}, {most:,.0f} at most"
        )
    return number


def whole(flag: str, word: str | None, default: int, most: int) -> int:
    """A whole number from 1 to `most`. Raises ConfigurationError."""
    if word is None:
        return default
    if not (word.isascii() and word.isdigit() and len(word) < 10 and 1 <= int(word) <= most):
        raise ConfigurationError(f"{flag} '{word[:40]}' must be a whole number, 1 to {most:,}")
    return int(word)


def name(flag: str, word: str | None, longest: int) -> str | None:
    """One name that can be printed, stored and asked for. Raises ConfigurationError."""
    if word is None:
        return None
    if word.strip(" .") and len(word) <= longest and word.isprintable() and "/" not in word:
        return word
    shown = word[:40].encode("ascii", "backslashreplace").decode()
    raise ConfigurationError(
        f"{flag} '{shown}' is no name: {longest} printable letters at most, no /"
    )


def names(flag: str, word: str | None) -> list[str]:
    """Names with commas between them. Raises ConfigurationError where there are only commas."""
    if word is None:
        return []
    found = list(dict.fromkeys(term.strip() for term in word.split(",") if term.strip()))
    if not found:
        raise ConfigurationError(f"{flag} '{word[:40]}' names nothing")
    return found


def parameters(words: Sequence[str]) -> dict[str, float]:
    """Parameters typed as name=value. Raises ConfigurationError."""
    return {name: values[0] for name, values in _values(words, 1, "fast=12").items()}


def grid(words: Sequence[str]) -> dict[str, list[float]]:
    """Parameters typed as name=value,value,…: each with its values. Raises ConfigurationError."""
    return _values(words, MOST_VALUES, "fast=6,12,24")


def _values(words: Sequence[str], most: int, example: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for word in words:
        name, _, values = word.partition("=")
        try:
            numbers = [float(value) for value in values.split(",")]
        except ValueError:
            numbers = []
        if not all(abs(number) < float("inf") for number in numbers) or not numbers:
            raise ConfigurationError(f"--param '{word[:60]}' must look like {example}")
        if len(numbers) > most:
            raise ConfigurationError(f"--param '{word[:60]}' has more than {most} values")
        if name.strip() in found:
            raise ConfigurationError(f"--param {name.strip()[:40]} is there twice")
        found[name.strip()] = list(dict.fromkeys(numbers))
    return found
