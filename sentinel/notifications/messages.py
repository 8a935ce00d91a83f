"""Compose messages in the user's language, with numbers and times in that language's format."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from urllib.parse import quote
from zoneinfo import ZoneInfo

from sentinel import amounts, times
from sentinel.amounts import Currency, Language
from sentinel.notifications.catalog import CATALOG
from sentinel.notifications.kinds import MessageKind

COINGECKO_PAGE = "https://www.coingecko.com/en/coins/"
# Where Telegram and others find a link (yearn.finance) or a mention (@name) in plain text.
_LINK_POINT = re.compile(r"(?<=\w)\.(?=\w)|@(?=\w)")
_WORD_JOINER = "\u2060"  # invisible; no link goes across it


@dataclass(frozen=True, slots=True)
class MessageFormatter:
    """Formats texts, amounts and times for one deployment."""

    language: Language
    zone: ZoneInfo
    # Where the user's browser finds the dashboard. None: messages link to CoinGecko only.
    dashboard_url: str | None = None

    def translate(self, key: str, **values: object) -> str:
        """Return a text of the catalog with its values filled in."""
        return CATALOG[self.language][key].format(**values)

    def format_usd(self, amount: float | Decimal) -> str:
        """Return an amount of US dollars."""
        return self._format_price(amount, "USD")

    def format_idr(self, amount: float | Decimal | None) -> str:
        """Return an amount of rupiah; None (no exchange rate) has its own text."""
        if amount is None:
            return self.translate("no_rate")
        return self._format_price(amount, "IDR")

    def format_own_usd(self, amount: Decimal, *, signed: bool = False) -> str:
        """Return an amount of the user's own money in US dollars and cents."""
        return self._format_own(amount, "USD", signed)

    def format_own_idr(self, amount: Decimal, *, signed: bool = False) -> str:
        """Return an amount of the user's own money in whole rupiah."""
        return self._format_own(amount, "IDR", signed)

    def format_compact_usd(self, amount: float) -> str:
        """Return a large amount of US dollars in three digits."""
        return _write_hyphen(amounts.format_compact_amount(amount, "USD", self.language))

    def format_percent(self, fraction: float, *, signed: bool = False) -> str:
        """Return a fraction as a percentage."""
        return _write_hyphen(amounts.format_percent(fraction, self.language, signed=signed))

    def format_quantity(self, amount: Decimal) -> str:
        """Return a number of coins."""
        return _write_hyphen(amounts.format_quantity(amount, self.language))

    def format_time(self, at: datetime, *, with_zone: bool = True) -> str:
        """Return day and time in the user's time zone, with the zone's name."""
        local = at.astimezone(self.zone)
        text = f"{times.format_day(local, self.language)} {local:%H:%M}"
        return f"{text} {local:%Z}" if with_zone else text

    def format_clock(self, at: datetime) -> str:
        """Return the time of day in the user's time zone, such as 13:05."""
        return f"{at.astimezone(self.zone):%H:%M}"

    def format_duration(self, duration: timedelta) -> str:
        """Return a duration in its largest unit of which it has two or more: 25 minutes, 2 days."""
        return times.format_duration(duration, self.language)

    def list_links(self, coin_id: str) -> list[str]:
        """Return the addresses of a coin's pages: in the dashboard (if known), and at CoinGecko."""
        coin = quote(coin_id, safe="")
        own = [f"{self.dashboard_url}/coin?coin={coin}"] if self.dashboard_url else []
        return [*own, f"{COINGECKO_PAGE}{coin}"]

    def _format_own(self, amount: Decimal, currency: Currency, signed: bool) -> str:
        text = amounts.format_own_amount(amount, currency, self.language, signed=signed)
        return _write_hyphen(text)

    def _format_price(self, amount: float | Decimal, currency: Currency) -> str:
        return _write_hyphen(amounts.format_price(amount, currency, self.language))


def _write_hyphen(text: str) -> str:
    """Return a number with a minus sign that people can paste into a calculator."""
    return text.replace(amounts.MINUS, "-")


class Message(NamedTuple):
    """A message to every target."""

    # Messages of one queue arrive in order.
    queue: str
    # A key is sent once to each target.
    key: str
    title: str
    body: str
    kind: MessageKind
    # None: the message is not about one coin.
    coin_id: str | None = None


# Rows of buttons: each has a label, and what Telegram returns when a person presses it.
Buttons = Sequence[Sequence[tuple[str, str]]]


class OutgoingMessage(NamedTuple):
    """A message as a target gets it."""

    title: str
    body: str
    kind: MessageKind
    coin_id: str | None = None
    # Without a sound, if the target knows such messages.
    is_silent: bool = False
    # Below the message, in Telegram only.
    buttons: Buttons = ()


def format_coin(name: str, symbol: str) -> str:
    """Return a coin's name and symbol, in which no messenger finds a link."""
    return f"{without_links(name)} ({without_links(symbol.upper())})"


def without_links(name: str) -> str:
    """Return a coin's name that no messenger turns into a link."""
    return _LINK_POINT.sub(lambda match: match[0] + _WORD_JOINER, name)


def compose_test_message(formatter: MessageFormatter, at: datetime) -> Message:
    """Return a message that shows that a target works."""
    body = f"{formatter.translate('test_body')}\n{formatter.format_time(at)}"
    return Message("test", f"test:{at.isoformat()}", formatter.translate("test"), body, "test")


def compose_run_warnings(
    formatter: MessageFormatter, at: datetime, warnings: Sequence[str]
) -> Message:
    """Return the message about a scheduled run's warnings, of which each day (UTC) has one."""
    body = "\n".join([*warnings, formatter.format_time(at)])
    key, title = f"run_warnings:{at.date()}", formatter.translate("run_warnings")
    return Message("incident:run", key, title, body, "incident")


def compose_backup_failure(
    formatter: MessageFormatter, at: datetime, problem: str, last_verified: datetime | None
) -> Message:
    """Return the message about a failed backup: its reason and the last verified backup."""
    last = formatter.format_time(last_verified) if last_verified else formatter.translate("none")
    title = formatter.translate("backup_failed")
    body = formatter.translate("backup_failed_body", problem=problem, last=last)
    return Message("backup", f"backup:{at.isoformat()}", title, body, "incident")


def compose_incident(
    formatter: MessageFormatter,
    incident: str,
    kind: str,
    begin: datetime,
    end: datetime,
    values: Mapping[str, object],
) -> Message:
    """Return the message about the begin or the end of an incident.

    `kind` is its key in the catalog. `begin` and `end` limit the incident, as far as it is known.
    """
    texts = {**values, "begin": formatter.format_time(begin), "end": formatter.format_time(end)}
    title = formatter.translate(kind, **texts)
    body = formatter.translate(f"{kind}_body", **texts)
    key = f"{kind}:{incident}:{begin.isoformat()}"
    return Message(f"incident:{incident}", key, title, body, "incident")
