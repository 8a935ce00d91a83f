"""The dashboard's texts in the viewer's language. The English text is the key."""

from __future__ import annotations


def tr(text: str, **values: object) -> str:
    """Return a text in the viewer's language, with its values filled in."""
    return text.format(**values)


def current_language() -> str:
    """Return the code of the viewer's language, such as en."""
    return "en"
