"""Format amounts and times for one viewer: their currency, time zone and privacy."""

from __future__ import annotations

import functools
import zoneinfo
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from sentinel import amounts, times
from sentinel.amounts import UNKNOWN, Currency, Language
from services.dashboard import text

HIDDEN = "•••"
# Entries of the time zone database that are no zone a viewer lives in.
NO_ZONES = {"Factory", "localtime", "posixrules"}


@dataclass(frozen=True, slots=True)
class Formatter:
    """Formats for one viewer at one time. The first three are preferences of the viewer."""

    chosen_currency: Currency
    # The time zone of all times.
    zone: ZoneInfo
    # Whether the viewer's own amounts are hidden.
    hide_amounts: bool
    # None while no rate is known: amounts are then shown in USD.
    idr_per_usd: float | None
    now: datetime
    # Of the page, which decides how numbers are written.
    language: Language = "en"

    @property
    def currency(self) -> Currency:
        """The currency that amounts can be shown in."""
        return self.chosen_currency if self.idr_per_usd else "USD"

    def price(self, usd: float | None) -> str:
        """Return a price in the viewer's currency. Prices are public and never hidden."""
        amount = None if usd is None else self.convert_usd(usd)
        return amounts.format_price(amount, self.currency, self.language)

    def compact_amount(self, usd: float | None) -> str:
        """Return a market cap or a volume in three digits with a unit."""
        amount = None if usd is None else self.convert_usd(usd)
        return amounts.format_compact_amount(amount, self.currency, self.language)

    def convert_usd(self, usd: float) -> float:
        """Return an amount of USD in the viewer's currency."""
        return usd * self.idr_per_usd if self.currency == "IDR" and self.idr_per_usd else usd

    def own_amount(
        self, amount: str | Decimal | None, currency: Currency, *, signed: bool = False
    ) -> str:
        """Return an amount of the viewer's own money, in the currency that it is given in."""
        if self.hide_amounts and amount is not None:
            return HIDDEN
        return amounts.format_own_amount(amount, currency, self.language, signed=signed)

    def own_price(self, amount: str | Decimal | None, currency: Currency) -> str:
        """Return what the viewer paid or got for one coin, in the currency that it is given in."""
        if self.hide_amounts and amount is not None:
            return HIDDEN
        return amounts.format_price(amount, currency, self.language)

    def amount(self, amount: str | Decimal, currency: Currency) -> str:
        """Return a public price in the currency that it is given in."""
        return amounts.format_price(amount, currency, self.language)

    def input_number(self, number: Decimal) -> str:
        """Return a number for a field that the viewer edits; an empty text for 0."""
        text = f"{number.normalize():f}" if number else ""
        return text.replace(".", amounts.DECIMAL_POINTS[self.language])

    def rupiah(self, amount: str | Decimal) -> str:
        """Return a public amount in rupiah, such as the exchange rate."""
        return amounts.format_price(amount, "IDR", self.language)

    def quantity(self, amount: str) -> str:
        """Return how many coins the viewer holds."""
        if self.hide_amounts:
            return HIDDEN
        return amounts.format_quantity(amount, self.language)

    def public_quantity(self, quantity: float) -> str:
        """Return a number of coins that is no secret, in eight digits."""
        return amounts.format_quantity(f"{quantity:.8g}", self.language)

    def decimal(self, number: float | None, places: int = 2) -> str:
        """Return a number without a unit, such as a ratio."""
        return amounts.format_decimal(number, places, self.language)

    def count(self, number: float | None) -> str:
        """Return a whole number, such as the calls of a month."""
        return amounts.format_count(number, self.language)

    def percent(self, fraction: float | None, *, signed: bool = True) -> str:
        """Return a fraction of one as a percentage."""
        return amounts.format_percent(fraction, self.language, signed=signed)

    def age(self, time: str | datetime | None) -> str:
        """Return how long ago a time was."""
        if time is None:
            return UNKNOWN
        return times.format_age(self.now - _as_datetime(time), self.language, is_short=True)

    def duration(self, duration: timedelta) -> str:
        """Return a length of time in the largest unit that still shows two digits."""
        return times.format_age(duration, self.language, is_short=True)

    def time(self, time: str | datetime | None) -> str:
        """Return a time in the viewer's zone."""
        if time is None:
            return UNKNOWN
        return text.format_time(_as_datetime(time), self.zone, self.now, self.language)


def list_time_zones(configured: str, browser: str | None) -> list[str]:
    """Return all time zones, the most likely first: the configured one, then the browser's.

    UTC is the default of the setting, so the browser's zone is more likely then.
    """
    all_zones = _list_zones()
    likely = (browser, configured) if configured == "UTC" else (configured, browser)
    first = [zone for zone in (*likely, "Asia/Jakarta", "UTC") if zone in all_zones]
    return list(dict.fromkeys([*first, *all_zones]))


@functools.cache
def _list_zones() -> tuple[str, ...]:
    """Return the zones of the system's database, which 10 ms of file reads find."""
    return tuple(sorted(zoneinfo.available_timezones() - NO_ZONES))


def _as_datetime(time: str | datetime) -> datetime:
    return datetime.fromisoformat(time) if isinstance(time, str) else time
