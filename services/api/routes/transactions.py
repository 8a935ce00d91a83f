"""The portfolio's transactions: list, add, edit, delete, restore, export and import as CSV."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import APIRouter, HTTPException, Path, Query, Response

from sentinel.storage.connection import Connection
from services.api.dependencies import ApiContext, CoinFilter, Limit, Offset, RequestContext
from services.api.portfolio.models import Oversold, Transaction, TransactionKind
from services.api.portfolio.transactions import (
    add_transaction,
    delete_transaction,
    edit_transaction,
    import_transactions,
    list_transactions,
    restore_transaction,
)
from services.api.portfolio.transactions_csv import format_csv, parse_csv
from services.api.problems import conflict, problem_responses
from services.api.schemas.base import CSV_MEDIA_TYPE, CsvBody, Page
from services.api.schemas.portfolio import ImportResponse, TransactionRequest, WalletName
from services.api.transaction_input import TransactionReader

router = APIRouter(tags=["portfolio"])
T = TypeVar("T")
MAX_CSV_LINES = 10_000
TransactionId = Annotated[int, Path(ge=1, lt=2**63)]
WalletFilter = Annotated[WalletName | None, Query(alias="wallet")]


@router.get("/portfolio/transactions", responses=problem_responses(422, 503))
def get_transactions(
    context: RequestContext,
    coin_id: CoinFilter = None,
    wallet: WalletFilter = None,
    kind: TransactionKind | None = None,
    limit: Limit = 500,
    offset: Offset = 0,
    newest_first: bool = False,
) -> Page[Transaction]:
    """Transactions by time, of a coin, a wallet (`main` or a name), a kind or all.

    `next` is the `offset` of the next page.
    """
    # One item more than requested shows whether there is a next page.
    transactions = context.pool.read(
        lambda connection: list_transactions(
            connection,
            coin_id=coin_id,
            wallet=wallet,
            kind=kind,
            limit=limit + 1,
            offset=offset,
            newest_first=newest_first,
        )
    )
    next_offset = str(offset + limit) if len(transactions) > limit else None
    return Page[Transaction](items=transactions[:limit], next=next_offset)


@router.get("/portfolio/transactions/{transaction_id}", responses=problem_responses(404, 422, 503))
def get_transaction(context: RequestContext, transaction_id: TransactionId) -> Transaction:
    """One transaction."""
    found = context.pool.read(
        lambda connection: list_transactions(connection, transaction_id=transaction_id)
    )
    if not found:
        raise _unknown_transaction(transaction_id)
    return found[0]


@router.post(
    "/portfolio/transactions",
    status_code=201,
    responses=problem_responses(400, 403, 404, 409, 413, 422, 503),
)
def post_transaction(
    context: RequestContext, request: TransactionRequest, response: Response
) -> Transaction:
    """Add a purchase, a sale, a trade, a transfer or a reward."""

    def write(connection: Connection) -> Transaction:
        new = TransactionReader(context, connection).read_request(request)
        return dataclasses.replace(new, transaction_id=add_transaction(connection, new))

    transaction = _write(context, write)
    response.headers["Location"] = f"/portfolio/transactions/{transaction.transaction_id}"
    return transaction


@router.put(
    "/portfolio/transactions/{transaction_id}",
    responses=problem_responses(400, 403, 404, 409, 413, 422, 503),
)
def put_transaction(
    context: RequestContext, transaction_id: TransactionId, request: TransactionRequest
) -> Transaction:
    """Replace a transaction. Importing the file that it came from again adds nothing.

    Without `made_at` its time stays, without `idr_per_usd` the rate of its date. An amount that is
    sent as it was returned keeps the digits that the response left out.
    """

    def write(connection: Connection) -> Transaction:
        for stored in list_transactions(connection, transaction_id=transaction_id):
            edited = TransactionReader(context, connection).read_edit(request, stored)
            if edit_transaction(connection, edited):
                return edited
        raise _unknown_transaction(transaction_id)

    return _write(context, write)


@router.delete(
    "/portfolio/transactions/{transaction_id}",
    responses=problem_responses(403, 404, 409, 422, 503),
)
def remove_transaction(context: RequestContext, transaction_id: TransactionId) -> Transaction:
    """Delete a transaction and return it. For 30 days it can be restored."""
    deleted = _write(context, lambda connection: delete_transaction(connection, transaction_id))
    if deleted is None:
        raise _unknown_transaction(transaction_id)
    return deleted


@router.post(
    "/portfolio/transactions/{transaction_id}/restore",
    responses=problem_responses(403, 404, 409, 422, 503),
)
def post_restored_transaction(
    context: RequestContext, transaction_id: TransactionId
) -> Transaction:
    """Undo the deletion of a transaction: it is stored again exactly as it was."""

    def write(connection: Connection) -> Transaction:
        restored = restore_transaction(connection, transaction_id)
        if restored is None:
            raise HTTPException(
                404,
                f"No transaction {transaction_id} was deleted within the last 30 days, or the same "
                "one was imported again since.",
            )
        return restored

    return _write(context, write)


@router.get(
    "/portfolio/transactions.csv",
    response_class=Response,
    responses={
        200: {"content": {CSV_MEDIA_TYPE: {"schema": {"type": "string"}}}},
        **problem_responses(503),
    },
)
def export_csv(context: RequestContext) -> Response:
    """All transactions as a CSV that the import accepts."""
    transactions = context.pool.read(list_transactions)
    return Response(
        format_csv(transactions),
        media_type=CSV_MEDIA_TYPE,
        headers={"Content-Disposition": 'attachment; filename="transactions.csv"'},
    )


@router.post(
    "/portfolio/transactions.csv", responses=problem_responses(400, 403, 409, 413, 422, 503)
)
def import_csv(context: RequestContext, content: CsvBody = b"") -> ImportResponse:
    """Add the lines of a CSV, all or none; lines that exist already are skipped.

    The columns: made_at, coin_id, quantity, price (or price_usd), fee (or fee_usd), currency,
    idr_per_usd (required for rupiah), note, kind, wallet, to_coin_id, to_quantity, to_wallet.
    """
    try:
        lines = parse_csv(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise conflict("The CSV must be UTF-8 text.") from error
    except ValueError as error:
        raise conflict(f"The CSV cannot be read: {error}") from error
    if len(lines) > MAX_CSV_LINES:
        raise conflict(f"The CSV has {len(lines):,} lines; at most {MAX_CSV_LINES:,} are allowed.")

    def write(connection: Connection) -> ImportResponse:
        reader = TransactionReader(context, connection)
        imported = [reader.read_line(line) for line in lines]
        added = import_transactions(connection, imported)
        return ImportResponse(added=added, skipped=len(imported) - added)

    return _write(context, write)


def _write(context: ApiContext, work: Callable[[Connection], T]) -> T:
    """Run a change. Raises HTTPException (409) if it would sell more than is held."""
    try:
        return context.pool.write(work)
    except Oversold as error:
        raise conflict(f"Nothing was changed. {error}") from error


def _unknown_transaction(transaction_id: int) -> HTTPException:
    return HTTPException(404, f"There is no transaction {transaction_id}.")
