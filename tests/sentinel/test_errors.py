"""The error family."""

from __future__ import annotations

from sentinel.errors import SentinelError


def test_an_error_without_a_message_uses_the_docstring_of_its_class() -> None:
    assert str(SentinelError()) == SentinelError.__doc__
