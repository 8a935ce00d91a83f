"""Turn a user's transaction, from a request or a CSV line, into one that can be stored."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from pydantic import ValidationError
from starlette.exceptions import HTTPException

from safe_zone import MAX_CLOCK_SKEW
from sentinel.storage.connection import Connection
from services.api.dependencies import YEARS, ApiContext, clamp_to_utc
from services.api.known_coins import KnownCoins
from services.api.portfolio.arithmetic import ZERO, exact_arithmetic
from services.api.portfolio.kinds import find_kind_errors
from services.api.portfolio.models import Transaction, choose_kind
from services.api.portfolio.quotes import find_nearest_rate
from services.api.portfolio.transactions_csv import CsvLine
from services.api.problems import conflict
from services.api.schemas.base import SMALLEST_AMOUNT, format_amount
from services.api.schemas.portfolio import TransactionRequest


class TransactionReader:
    """Reads transactions within one database transaction; loads the registry at most once."""

    def __init__(self, context: ApiContext, connection: Connection) -> None:
        self._context = context
        self._connection = connection
        self._coins = KnownCoins(context, connection)

    def read_line(self, line: CsvLine) -> Transaction:
        """Return the transaction of a CSV line.

        Raises HTTPException (409) with the number of the line.
        """
        try:
            return self.read_fields(line.fields)
        except HTTPException as error:
            raise conflict(f"line {line.number}: {error.detail}") from error

    def read_fields(self, fields: dict[str, str]) -> Transaction:
        """Return the transaction of a CSV line's fields. Raises HTTPException (404, 409)."""
        renamed = _rename_usd_columns(fields)
        _require_columns(renamed)
        try:
            request = TransactionRequest.model_validate(renamed)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            message = first["msg"].removeprefix("Value error, ")
            raise conflict(f"{field}: {message}") from error
        return self.read_request(request)

    def read_request(self, request: TransactionRequest) -> Transaction:
        """Return the transaction of a request. Raises HTTPException (404, 409)."""
        made_at = self._check_time(request.made_at)
        kind = request.kind or choose_kind(request.quantity)
        for error in find_kind_errors(request, kind):
            raise conflict(error)
        if request.idr_per_usd is not None and not request.idr_per_usd:
            raise conflict("idr_per_usd: the rate must not be 0; leave it out if it is unknown.")
        for coin_id in filter(None, (request.coin_id, request.to_coin_id)):
            self._coins.require(coin_id)
        rate = request.idr_per_usd or find_nearest_rate(self._connection, made_at)
        price_usd, fee_usd = request.price or ZERO, request.fee
        if request.currency == "idr":
            if rate is None:
                raise conflict(
                    f"idr_per_usd: no rupiah rate of {made_at:%Y-%m-%d} is stored; send the rate "
                    "that you had."
                )
            price_usd, fee_usd = (_convert_to_usd(amount, rate) for amount in (price_usd, fee_usd))
        is_internal = request.to_wallet is not None
        return Transaction(
            made_at=made_at,
            kind=kind,
            wallet=request.wallet,
            coin_id=request.coin_id,
            quantity=abs(request.quantity) if is_internal else request.quantity,
            price_usd=price_usd,
            fee_usd=fee_usd,
            idr_per_usd=rate,
            to_coin_id=request.to_coin_id,
            to_quantity=request.to_quantity,
            to_wallet=request.to_wallet,
            note=request.note,
        )

    def read_edit(self, request: TransactionRequest, stored: Transaction) -> Transaction:
        """Return a stored transaction as the request changes it. Raises HTTPException (404, 409).

        Responses round amounts: one that comes back as it was returned keeps its stored digits. The
        rate stays as long as the date does.
        """
        made_at = request.made_at or stored.made_at
        changes: dict[str, object] = {"made_at": made_at}
        is_same_date = clamp_to_utc(made_at).date() == clamp_to_utc(stored.made_at).date()
        if request.idr_per_usd is None and is_same_date:
            changes["idr_per_usd"] = stored.idr_per_usd
        request = request.model_copy(update=changes)
        edited = self.read_request(request)
        digits = {
            name: old
            for name in ("quantity", "price_usd", "fee_usd", "idr_per_usd", "to_quantity")
            if (old := getattr(stored, name)) is not None
            and getattr(edited, name) == Decimal(format_amount(old))
        }
        return replace(edited, transaction_id=stored.transaction_id, **digits)

    def _check_time(self, made_at: datetime | None) -> datetime:
        """Return the time of a transaction in UTC; the default is now."""
        now = self._context.now()
        if made_at is None:
            return now
        time = clamp_to_utc(made_at)
        if time > now + MAX_CLOCK_SKEW:
            raise conflict(f"made_at: {time.isoformat()} is in the future.")
        if made_at.year not in YEARS:
            raise conflict(
                f"made_at: {made_at.isoformat()} is before {YEARS[0]}, when no coin had a price."
            )
        return time


def _rename_usd_columns(fields: dict[str, str]) -> dict[str, str]:
    """Return the fields with `price_usd` and `fee_usd`, as an export has them, as price and fee."""
    renamed = dict(fields)
    for name in ("price", "fee"):
        if f"{name}_usd" in fields:
            if name in fields or fields.get("currency", "usd") != "usd":
                raise conflict(f"{name}_usd cannot be combined with {name} or another currency.")
            renamed[name] = renamed.pop(f"{name}_usd")
    return renamed


def _require_columns(fields: dict[str, str]) -> None:
    """Require the fields that would otherwise depend on the time of the import.

    With such defaults, importing a file twice would add its lines twice.
    """
    is_rupiah = fields.get("currency") == "idr"
    for name in ("made_at", "idr_per_usd") if is_rupiah else ("made_at",):
        if name not in fields:
            raise conflict(f"{name} is missing.")


def _convert_to_usd(idr: Decimal, rate: Decimal) -> Decimal:
    """Return an amount in USD, rounded as the API accepts it, so that an export can be imported."""
    with exact_arithmetic():
        return (idr / rate).quantize(SMALLEST_AMOUNT)
