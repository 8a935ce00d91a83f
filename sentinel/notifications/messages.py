"""What people are told, in English and Indonesian, with numbers and times as they write them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from babel.dates import format_datetime

from sentinel import amounts
from sentinel.amounts import LOCALES
from sentinel.analytics.alerts import Kind

SHOWN_COINS = 20

CATALOG = {
    "en": {
        "panic": "{name} ({symbol}) fell {move} below its high",
        "reversal": "{name} ({symbol}) rose {move} above its low",
        "panic_mark": "High {price}, {time}",
        "reversal_mark": "Low {price}, {time}",
        "price": "Price {usd} ({idr})",
        "threshold": "Threshold {threshold}, step {step}",
        "held": "Your {quantity} {symbol}: {usd} ({idr}), {change} since the mark",
        "worth": "  your {quantity} {symbol}: {value}",
        "no_rate": "no rupiah rate",
        "market_panic": "Market-wide: {count} of {watched} coins fell",
        "market_reversal": "Market-wide: {count} of {watched} coins rose",
        "within": "Within {minutes} minutes, each by its threshold or more:",
        "more": "and {count} more",
        "backup": "Market Sentinel: the backup failed",
        "backup_body": "{problem}\nThe last verified backup: {last}. Nothing was pruned.",
        "none": "none",
        "test": "Market Sentinel: test message",
        "test_body": "This target works. Alerts will look like this one arrived.",
    },
    "id": {
        "panic": "{name} ({symbol}) turun {move} dari puncaknya",
        "reversal": "{name} ({symbol}) naik {move} dari titik terendahnya",
        "panic_mark": "Puncak {price}, {time}",
        "reversal_mark": "Terendah {price}, {time}",
        "price": "Harga {usd} ({idr})",
        "threshold": "Ambang {threshold}, tahap {step}",
        "held": "{quantity} {symbol} milik Anda: {usd} ({idr}), {change} sejak tanda itu",
        "worth": "  {quantity} {symbol} milik Anda: {value}",
        "no_rate": "kurs rupiah tidak ada",
        "market_panic": "Seluruh pasar: {count} dari {watched} koin turun",
        "market_reversal": "Seluruh pasar: {count} dari {watched} koin naik",
        "within": "Dalam {minutes} menit, masing-masing mencapai ambangnya:",
        "more": "dan {count} lagi",
        "backup": "Market Sentinel: pencadangan gagal",
        "backup_body": "{problem}\nCadangan terakhir yang teruji: {last}. Tidak ada yang dihapus.",
        "none": "tidak ada",
        "test": "Market Sentinel: pesan uji",
        "test_body": "Tujuan ini berfungsi. Peringatan akan tiba seperti ini.",
    },
}


@dataclass(frozen=True, slots=True)
class MessageFormatter:
    """How this deployment speaks: `language` (en, id) and the user's zone."""

    language: str
    zone: ZoneInfo

    def translate(self, key: str, **values: object) -> str:
        """One of the texts, filled in."""
        return CATALOG[self.language][key].format(**values)

    def usd(self, amount: float | Decimal) -> str:
        """An amount of US dollars."""
        return amounts.format_money(amount, "USD", self._locale)

    def idr(self, amount: float | Decimal | None) -> str:
        """An amount of rupiah; None: the rate is unknown, which is said."""
        if amount is None:
            return self.translate("no_rate")
        return amounts.format_money(amount, "IDR", self._locale)

    def percent(self, fraction: float, *, signed: bool = False) -> str:
        """A share of one, as per cent."""
        return amounts.format_percent(fraction, self._locale, signed=signed)

    def quantity(self, amount: Decimal) -> str:
        """A number of coins."""
        return amounts.format_quantity(amount, self._locale)

    def moment(self, at: datetime) -> str:
        """Day and time in the user's zone, which is named."""
        text = format_datetime(at, "d MMM HH:mm", tzinfo=self.zone, locale=self._locale)
        return f"{text} {at.astimezone(self.zone):%Z}"

    @property
    def _locale(self) -> str:
        return LOCALES[self.language]


class AlertContext(NamedTuple):
    """What an alert is about. Prices in USD, `quantity` is what the user holds, `idr_per_usd` None
    where it is unknown."""

    coin_id: str
    symbol: str
    name: str
    kind: Kind
    at: datetime
    price: float
    reference: float
    reference_at: datetime
    move: float
    threshold: float
    step: int
    quantity: Decimal
    idr_per_usd: float | None


class Message(NamedTuple):
    """A text on its way. Messages of one `queue` arrive in order; `key` is what is said once."""

    queue: str
    key: str
    title: str
    body: str


def coin_message(told: AlertContext, formatter: MessageFormatter) -> Message:
    """The message about one coin."""
    idr = None if told.idr_per_usd is None else told.price * told.idr_per_usd
    names = {"name": told.name, "symbol": told.symbol.upper()}
    title = formatter.translate(told.kind, **names, move=formatter.percent(abs(told.move)))
    lines = [
        formatter.translate("price", usd=formatter.usd(told.price), idr=formatter.idr(idr)),
        formatter.translate(
            f"{told.kind}_mark",
            price=formatter.usd(told.reference),
            time=formatter.moment(told.reference_at),
        ),
        formatter.translate(
            "threshold", threshold=formatter.percent(told.threshold), step=told.step
        ),
    ]
    if told.quantity:
        lines.append(_holding(told, formatter))
    lines.append(formatter.moment(told.at))
    key = f"{told.kind}:{told.coin_id}:{told.at.isoformat()}"
    return Message(told.coin_id, key, title, "\n".join(lines))


def _holding(told: AlertContext, formatter: MessageFormatter) -> str:
    """What the alert means in the holder's money."""
    value = told.quantity * Decimal(repr(told.price))
    change = told.quantity * (Decimal(repr(told.price)) - Decimal(repr(told.reference)))
    rate = None if told.idr_per_usd is None else Decimal(repr(told.idr_per_usd))
    return formatter.translate(
        "held",
        quantity=formatter.quantity(told.quantity),
        symbol=told.symbol.upper(),
        usd=formatter.usd(value),
        idr=formatter.idr(None if rate is None else value * rate),
        change=formatter.usd(change) if rate is None else formatter.idr(change * rate),
    )


def _both(usd: float | Decimal, idr_per_usd: float | None, formatter: MessageFormatter) -> str:
    """An amount in both currencies."""
    amount = Decimal(repr(usd)) if isinstance(usd, float) else usd
    idr = None if idr_per_usd is None else amount * Decimal(repr(idr_per_usd))
    return f"{formatter.usd(amount)} ({formatter.idr(idr)})"


class Mover(NamedTuple):
    """A coin in a message about many."""

    symbol: str
    move: float
    price: float
    quantity: Decimal


def market_message(
    kind: str,
    together: Sequence[Mover],
    watched: int,
    minutes: int,
    at: datetime,
    idr_per_usd: float | None,
    formatter: MessageFormatter,
) -> Message:
    """One message for many coins that went the same way within so many minutes: those the user
    holds first, with what they are worth, then the farthest."""
    title = formatter.translate(f"market_{kind}", count=len(together), watched=watched)
    farthest = sorted(together, key=lambda one: (not one.quantity, -abs(one.move)))
    lines = [formatter.translate("within", minutes=minutes)]
    for one in farthest[:SHOWN_COINS]:
        move = formatter.percent(one.move, signed=True)
        lines.append(f"{one.symbol.upper()} {move}  {_both(one.price, idr_per_usd, formatter)}")
        if one.quantity:
            lines.append(
                formatter.translate(
                    "worth",
                    quantity=formatter.quantity(one.quantity),
                    symbol=one.symbol.upper(),
                    value=_both(one.quantity * Decimal(repr(one.price)), idr_per_usd, formatter),
                )
            )
    if len(farthest) > SHOWN_COINS:
        lines.append(formatter.translate("more", count=len(farthest) - SHOWN_COINS))
    lines.append(formatter.moment(at))
    key = f"market:{kind}:{len(together)}:{at.isoformat()}"
    return Message("market", key, title, "\n".join(lines))


def test_message(formatter: MessageFormatter, at: datetime) -> Message:
    """What shows that a target works."""
    title, body = (
        formatter.translate("test"),
        f"{formatter.translate('test_body')}\n{formatter.moment(at)}",
    )
    return Message("test", f"test:{at.isoformat()}", title, body)


def backup_failed(
    formatter: MessageFormatter, at: datetime, problem: str, last: datetime | None
) -> Message:
    """That a backup failed, of what, and how old the last good one is."""
    told = formatter.translate("none") if last is None else formatter.moment(last)
    body = formatter.translate("backup_body", problem=problem, last=told)
    return Message("backup", f"backup:{at.isoformat()}", formatter.translate("backup"), body)
