"""One viewer: their currency, zone and discretion, and how amounts and times look to them."""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from sentinel import amounts
from services.dashboard import text

Currency = Literal["USD", "IDR"]
LOCALE: dict[Currency, str] = {"USD": "en_US", "IDR": "id_ID"}
HIDDEN = "•••"
UNKNOWN = "—"
NO_PLACES = {"Factory", "localtime", "posixrules"}


class Preferences(NamedTuple):
    """What a viewer chose: outlives the moment."""

    currency: Currency
    zone: ZoneInfo
    hide_amounts: bool


@dataclass(frozen=True, slots=True)
class Formatter:
    """A viewer at a moment. `rate` is what one USD costs in rupiah, None where that is unknown:
    amounts are then shown in USD."""

    choice: Preferences
    rate: float | None
    now: datetime

    @property
    def zone(self) -> ZoneInfo:
        """That times are shown in."""
        return self.choice.zone

    @property
    def hide_amounts(self) -> bool:
        """Whether amounts stay hidden."""
        return self.choice.hide_amounts

    @property
    def shown_currency(self) -> Currency:
        """The one that amounts can be shown in."""
        return self.choice.currency if self.rate else "USD"

    @property
    def locale(self) -> str:
        """How numbers of that currency are written."""
        return LOCALE[self.shown_currency]

    def price(self, usd: float | None) -> str:
        """A price: nobody's secret."""
        if usd is None:
            return UNKNOWN
        return amounts.format_money(self.convert(usd), self.shown_currency, self.locale)

    def size(self, usd: float | None) -> str:
        """A market's cap or volume, in short."""
        if usd is None:
            return UNKNOWN
        return amounts.format_compact_money(self.convert(usd), self.shown_currency, self.locale)

    def convert(self, usd: float) -> float:
        """USD in the viewer's currency."""
        return usd * self.rate if self.shown_currency == "IDR" and self.rate else usd

    def own(self, amount: str | Decimal | None, currency: Currency) -> str:
        """Somebody's own money, in a currency that is given."""
        if amount is None:
            return UNKNOWN
        if self.hide_amounts:
            return HIDDEN
        return amounts.format_money(Decimal(amount), currency, LOCALE[currency])

    def rupiah(self, amount: str | Decimal) -> str:
        """A rate or price in rupiah: nobody's secret."""
        return amounts.format_money(Decimal(amount), "IDR", LOCALE["IDR"])

    def quantity(self, amount: str) -> str:
        """How many coins somebody holds."""
        return (
            HIDDEN if self.hide_amounts else amounts.format_quantity(Decimal(amount), self.locale)
        )

    def percent(self, fraction: float | None, *, signed: bool = True) -> str:
        """A share of one, as per cent."""
        if fraction is None:
            return UNKNOWN
        return amounts.format_percent(fraction, self.locale, signed=signed)

    def age(self, at: str | datetime | None) -> str:
        """How old something is."""
        return UNKNOWN if at is None else text.age(self.now - _moment(at))

    def at(self, at: str | datetime | None) -> str:
        """When something was, in the viewer's zone."""
        return UNKNOWN if at is None else text.clock(_moment(at), self.zone, self.now)

    def local(self, at: str) -> datetime:
        """A moment for a chart's axis, which knows no zones."""
        return text.read_time(at).astimezone(self.zone).replace(tzinfo=None)


def known_zones(configured: str, browser: str | None) -> list[str]:
    """Zones to choose from, the most likely first: the configured one, unless it is what nobody
    has changed, then the browser's."""
    every = sorted(zoneinfo.available_timezones() - NO_PLACES)
    likely = (browser, configured) if configured == "UTC" else (configured, browser)
    wished = [zone for zone in (*likely, "Asia/Jakarta", "UTC") if zone in every]
    return list(dict.fromkeys([*wished, *every]))


def _moment(at: str | datetime) -> datetime:
    return text.read_time(at) if isinstance(at, str) else at
