"""Buttons of which one can be chosen, by the keys and texts of the options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import streamlit as st

KeyT = TypeVar("KeyT", bound=str)


def show_options(
    label: str, options: Mapping[KeyT, str], key: str, *, place: Any = st, **settings: Any
) -> KeyT | None:
    """Show a button for each text and return the key of the chosen one; None if none is.

    `place` is where the buttons stand; `settings` are further ones of Streamlit's control.
    """
    chosen: KeyT | None = place.segmented_control(
        label, list(options), format_func=options.__getitem__, key=key, **settings
    )
    return chosen
