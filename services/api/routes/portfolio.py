"""The portfolio: its transactions, and what they have come to."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, TypeVar

from fastapi import APIRouter, Body, HTTPException, Path, Response
from pydantic import ValidationError

from coin_registry import CoinRegistry
from safe_zone import MAX_CLOCK_SKEW
from sentinel.storage.connection import Connection
from services.api import queries, schemas, valuation
from services.api import transactions as ledger
from services.api.dependencies import (
    YEARS,
    CoinFilter,
    Context,
    Here,
    Limit,
    Offset,
    as_utc,
    conflict,
    no_such_coin,
)
from services.api.problems import described
from services.api.valuation import Oversold, Transaction

router = APIRouter(tags=["portfolio"])
T = TypeVar("T")
IsCoin = Callable[[str], bool]
CSV = "text/csv"
TransactionId = Annotated[int, Path(ge=1, lt=2**63)]
MOST_LINES = 10_000
DAY = timedelta(days=1)


@router.get("/portfolio", responses=described(422, 503))
def value(here: Here, limit: Limit = 500) -> schemas.Portfolio:
    """What is held and worth, in USD and IDR, and the profit in both; at most `limit` holdings are
    listed, the dearest first."""

    def read(connection: Connection) -> schemas.Portfolio:
        now = here.now()
        own = ledger.transactions(connection)
        coin_ids = sorted({one.coin_id for one in own})
        # Older prices than a day are no prices any more; what is shown says how old it is.
        found = valuation.evaluate(
            own,
            ledger.quotes_at(connection, coin_ids, now, DAY),
            ledger.rate_at(connection, now, DAY),
            ledger.quotes_at(connection, coin_ids, now - DAY, ledger.SLACK),
            ledger.rate_at(connection, now - DAY, ledger.SLACK),
            now - DAY,
        )
        names = ledger.labels(connection, coin_ids)
        history = ledger.net_worth(connection, own, now)
        if history:  # a day that has just begun may have no price of its own yet
            unpriced = [h.coin_id for h in found.holdings if h.value_usd is None]
            usd = None if unpriced else found.net_worth_usd
            idr = None if unpriced else found.net_worth_idr
            missing = [what for what in found.missing if not what.endswith(valuation.DAY_AGO)]
            history[-1] = history[-1]._replace(usd=usd, idr=idr, missing=missing)
        return _shown(found, names, history, limit)

    return here.store.read(read)


def _shown(
    found: valuation.Portfolio,
    names: dict[str, tuple[str, str]],
    history: Sequence[ledger.Worth],
    limit: int,
) -> schemas.Portfolio:
    holdings = []
    for holding in found.holdings[:limit]:
        symbol, name = names.get(holding.coin_id, (holding.coin_id, holding.coin_id))
        quote = holding.quote
        holdings.append(
            asdict(holding)
            | {
                "symbol": symbol,
                "name": name,
                "price_usd": quote.price_usd if quote else None,
                "observed_at": quote.observed_at if quote else None,
                "share": None if holding.share is None else float(holding.share),
                "missing": list(holding.missing),
            }
        )
    rate = found.rate
    return schemas.Portfolio.model_validate(
        {
            "net_worth_usd": found.net_worth_usd,
            "net_worth_idr": found.net_worth_idr,
            "idr_per_usd": rate.idr_per_usd if rate else None,
            "rate_observed_at": rate.observed_at if rate else None,
            "total": asdict(found.total),
            "day": asdict(found.day),
            "holdings": holdings,
            "history": [one._asdict() for one in history],
            "missing": list(found.missing),
        }
    )


@router.get("/portfolio/transactions", responses=described(422, 503))
def transactions(
    here: Here,
    coin_id: CoinFilter = None,
    limit: Limit = 500,
    offset: Offset = 0,
    newest_first: bool = False,
) -> schemas.Page[schemas.Transaction]:
    """Transactions in order of time, of all coins or one; `next` is the next page's `offset`."""
    own = here.store.read(
        lambda c: ledger.transactions(
            c, coin_id=coin_id, limit=limit + 1, offset=offset, newest_first=newest_first
        )
    )
    following = str(offset + limit) if len(own) > limit else None
    return schemas.Page[schemas.Transaction].model_validate(
        {"items": [one._asdict() for one in own[:limit]], "next": following}
    )


@router.get("/portfolio/transactions/{transaction_id}", responses=described(404, 422, 503))
def transaction(here: Here, transaction_id: TransactionId) -> schemas.Transaction:
    """One transaction."""
    own = here.store.read(lambda c: ledger.transactions(c, transaction_id=transaction_id))
    if not own:
        raise HTTPException(404, f"There is no transaction {transaction_id}.")
    return schemas.Transaction.model_validate(own[0]._asdict())


@router.post(
    "/portfolio/transactions",
    status_code=201,
    responses=described(400, 403, 404, 409, 413, 422, 503),
)
def add(here: Here, new: schemas.NewTransaction, response: Response) -> schemas.Transaction:
    """Enter a purchase or a sale."""

    def write(connection: Connection) -> Transaction:
        one = _read_one(here, connection, _coins(here, connection), new)
        return one._replace(transaction_id=ledger.add(connection, one))

    kept = _changing(here, write)
    response.headers["Location"] = f"/portfolio/transactions/{kept.transaction_id}"
    return schemas.Transaction.model_validate(kept._asdict())


@router.delete(
    "/portfolio/transactions/{transaction_id}",
    status_code=204,
    responses=described(403, 404, 409, 422, 503),
)
def remove(here: Here, transaction_id: TransactionId) -> None:
    """Take a transaction back."""
    if not _changing(here, lambda c: ledger.remove(c, transaction_id)):
        raise HTTPException(404, f"There is no transaction {transaction_id}.")


@router.get(
    "/portfolio/transactions.csv",
    response_class=Response,
    responses={200: {"content": {CSV: {"schema": {"type": "string"}}}}, **described(503)},
)
def export(here: Here) -> Response:
    """All transactions as CSV, which the import takes again."""
    own = here.store.read(ledger.transactions)
    return Response(
        ledger.to_csv(own),
        media_type=CSV,
        headers={"Content-Disposition": 'attachment; filename="transactions.csv"'},
    )


@router.post("/portfolio/transactions.csv", responses=described(400, 403, 409, 413, 422, 503))
def import_(here: Here, content: Annotated[bytes, Body(media_type=CSV)] = b"") -> schemas.Imported:
    """Enter the lines of a CSV, all or none; those that are there already are passed over.

    The columns: made_at, coin_id, quantity, price (or price_usd), fee (or fee_usd), currency,
    idr_per_usd (with rupiah), note.
    """
    try:
        lines = ledger.from_csv(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise conflict("The CSV must be UTF-8 text.") from error
    except ValueError as error:
        raise conflict(f"The CSV: {error}") from error
    if len(lines) > MOST_LINES:
        raise conflict(f"The CSV has {len(lines):,} lines, {MOST_LINES:,} at most.")

    def write(connection: Connection) -> schemas.Imported:
        is_coin = _coins(here, connection)
        new = [_read_line(here, connection, is_coin, *line) for line in lines]
        added = ledger.add_imported(connection, new)
        return schemas.Imported(added=added, known=len(new) - added)

    return _changing(here, write)


def _changing(here: Context, write: Callable[[Connection], T]) -> T:
    """Run a change. Raises HTTPException (409) where it would sell more than is held."""
    try:
        return here.store.write(write)
    except Oversold as error:
        raise conflict(f"Nothing was changed. {error}") from error


def _read_line(
    here: Context, connection: Connection, is_coin: IsCoin, number: int, line: dict[str, str]
) -> Transaction:
    fields = dict(line)
    for name in ("price", "fee"):
        if f"{name}_usd" in fields:
            if name in fields or fields.get("currency", "usd") != "usd":
                raise conflict(f"line {number}: {name}_usd goes without {name}, in usd")
            fields[name] = fields.pop(f"{name}_usd")
    # What an import says must not depend on when it is imported, or twice would add twice.
    for name in ("made_at", "idr_per_usd") if fields.get("currency") == "idr" else ("made_at",):
        if name not in fields:
            raise conflict(f"line {number}: {name} is missing")
    try:
        new = schemas.NewTransaction.model_validate(fields)
        return _read_one(here, connection, is_coin, new)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise conflict(f"line {number}: {where}: {said}") from error
    except HTTPException as error:
        raise conflict(f"line {number}: {error.detail}") from error


def _read_one(
    here: Context, connection: Connection, is_coin: IsCoin, new: schemas.NewTransaction
) -> Transaction:
    """What somebody typed as what is kept. Raises HTTPException (404, 409)."""
    now = here.now()
    at = as_utc(new.made_at) if new.made_at else now
    if at > now + MAX_CLOCK_SKEW:
        raise conflict(f"made_at: {at.isoformat()} lies ahead")
    if new.made_at and new.made_at.year not in YEARS:
        raise conflict(f"made_at: {new.made_at.isoformat()} is before there were prices")
    if not new.quantity:
        raise conflict("quantity: nothing was bought or sold")
    if new.idr_per_usd is not None and not new.idr_per_usd:
        raise conflict("idr_per_usd: a rate of 0 is none; leave it out where it is unknown")
    if not is_coin(new.coin_id):
        raise no_such_coin(new.coin_id)
    rate = new.idr_per_usd or ledger.rate_near(connection, at)
    price, fee = new.price, new.fee
    if new.currency == "idr":
        if rate is None:
            raise conflict(
                f"idr_per_usd: no rupiah rate of {at:%Y-%m-%d} is known here: give the one you had"
            )
        price, fee = (_in_usd(amount, rate) for amount in (price, fee))
    return Transaction(0, at, new.coin_id, new.quantity, price, fee, rate, new.note)


def _coins(here: Context, connection: Connection) -> IsCoin:
    """What tells whether an id is a coin's: one that was ever stored or is listed. Where neither
    knows any, as on a machine that a backup is brought to, any id is."""

    @functools.cache
    def listed() -> Collection[str]:
        try:
            return CoinRegistry.load(here.monitor.settings.registry_path).coins
        except ValueError:
            return ()

    @functools.cache
    def is_coin(coin_id: str) -> bool:
        if queries.is_known(connection, coin_id) or coin_id in listed():
            return True
        return not listed() and not queries.has_coins(connection)

    return is_coin


def _in_usd(idr: Decimal, rate: Decimal) -> Decimal:
    """As fine as amounts are entered, so that an export can be imported again."""
    with valuation.exactly():
        return (idr / rate).quantize(schemas.PLACES)
