"""Store, list, import and delete the portfolio's transactions."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable

from psycopg.rows import class_row

from sentinel.storage.connection import Connection
from services.api.portfolio.models import Transaction
from services.api.portfolio.transactions_csv import COLUMNS, format_cell
from services.api.portfolio.valuation import ensure_not_oversold

# "PORT" in ASCII: the advisory lock that makes changes of transactions wait for each other. Without
# it two sales at the same time could each find enough coins.
LOCK_KEY = 0x504F5254
LOCK_TRANSACTIONS = "SELECT pg_advisory_xact_lock(%s)"

TRANSACTIONS = """
SELECT transaction_id, made_at, coin_id, quantity, price_usd, fee_usd, idr_per_usd, note
FROM sentinel.transactions
WHERE (%(coin_id)s::text IS NULL OR coin_id = %(coin_id)s::text)
  AND (%(transaction_id)s::bigint IS NULL OR transaction_id = %(transaction_id)s::bigint)
ORDER BY CASE WHEN %(newest_first)s THEN made_at END DESC,
         CASE WHEN %(newest_first)s THEN transaction_id END DESC, made_at, transaction_id
LIMIT %(limit)s OFFSET %(offset)s
"""

INSERT_TRANSACTION = """
INSERT INTO sentinel.transactions (made_at, coin_id, quantity, price_usd, fee_usd, idr_per_usd,
                                   note, identity)
VALUES (%(made_at)s, %(coin_id)s, %(quantity)s, %(price_usd)s, %(fee_usd)s, %(idr_per_usd)s,
        %(note)s, %(identity)s)
ON CONFLICT (identity) DO NOTHING
RETURNING transaction_id
"""

DELETE_TRANSACTION = """
DELETE FROM sentinel.transactions WHERE transaction_id = %(transaction_id)s RETURNING coin_id
"""


def list_transactions(
    connection: Connection,
    *,
    coin_id: str | None = None,
    transaction_id: int | None = None,
    limit: int | None = None,
    offset: int = 0,
    newest_first: bool = False,
) -> list[Transaction]:
    """Return transactions by time: all of them, or those of one coin or id."""
    parameters = {
        "coin_id": coin_id,
        "transaction_id": transaction_id,
        "limit": limit,
        "offset": offset,
        "newest_first": newest_first,
    }
    with connection.cursor(row_factory=class_row(Transaction)) as cursor:
        return cursor.execute(TRANSACTIONS, parameters).fetchall()


def add_transaction(connection: Connection, new: Transaction) -> int:
    """Store a transaction and return its id. Identical transactions are counted separately.

    Raises Oversold if sales would exceed purchases; the caller must roll back.
    """
    connection.execute(LOCK_TRANSACTIONS, [LOCK_KEY])
    occurrence = 1
    while (transaction_id := _insert(connection, new, occurrence)) is None:
        occurrence += 1
    ensure_not_oversold(list_transactions(connection))
    return transaction_id


def import_transactions(connection: Connection, imported: Iterable[Transaction]) -> int:
    """Store the transactions that are not stored yet; return how many these were.

    A transaction is identified by its fields, and identical ones by their position among
    themselves. So a file may be imported twice, and an export on the machine it came from. Raises
    Oversold as `add_transaction` does.
    """
    connection.execute(LOCK_TRANSACTIONS, [LOCK_KEY])
    occurrences: Counter[str] = Counter()
    added = 0
    for transaction in imported:
        fields = _join_fields(transaction)
        occurrences[fields] += 1
        added += _insert(connection, transaction, occurrences[fields]) is not None
    ensure_not_oversold(list_transactions(connection))
    return added


def _insert(connection: Connection, transaction: Transaction, occurrence: int) -> int | None:
    """Return the id of a new transaction, None if its n-th occurrence is stored already."""
    identity = hashlib.sha256(f"{_join_fields(transaction)}|{occurrence}".encode()).hexdigest()
    parameters = dataclasses.asdict(transaction) | {"identity": identity}
    row = connection.execute(INSERT_TRANSACTION, parameters).fetchone()
    return row[0] if row else None


def _join_fields(transaction: Transaction) -> str:
    """Return the fields that identify a transaction; the rate may become known only later."""
    return "|".join(
        format_cell(getattr(transaction, name)) for name in COLUMNS if name != "idr_per_usd"
    )


def delete_transaction(connection: Connection, transaction_id: int) -> bool:
    """Delete a transaction; return False if there is no such transaction.

    Raises Oversold if later sales need it; the caller must roll back.
    """
    connection.execute(LOCK_TRANSACTIONS, [LOCK_KEY])
    deleted = connection.execute(DELETE_TRANSACTION, {"transaction_id": transaction_id}).fetchall()
    ensure_not_oversold(list_transactions(connection))
    return bool(deleted)
