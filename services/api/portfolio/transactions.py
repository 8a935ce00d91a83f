"""Store, list, import, edit and delete the portfolio's transactions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from datetime import timedelta

from psycopg.rows import class_row

from sentinel.storage.connection import Connection
from services.api.portfolio.identities import identify, join_fields, make_identity
from services.api.portfolio.models import Transaction, TransactionKind
from services.api.portfolio.valuation import ensure_not_oversold

# "PORT" in ASCII: the advisory lock that makes changes of transactions wait for each other. Without
# it two sales at the same time could each find enough coins.
LOCK_KEY = 0x504F5254
LOCK_TRANSACTIONS = "SELECT pg_advisory_xact_lock(%s)"

# A deletion can be undone for this long.
UNDO_PERIOD = timedelta(days=30)

TRANSACTIONS = """
SELECT transaction_id, made_at, kind, wallet, coin_id, quantity, price_usd, fee_usd, idr_per_usd,
       to_coin_id, to_quantity, to_wallet, note
FROM sentinel.transactions
WHERE (%(transaction_id)s::bigint IS NULL OR transaction_id = %(transaction_id)s::bigint)
  AND (%(coin_id)s::text IS NULL OR %(coin_id)s::text IN (coin_id, to_coin_id))
  AND (%(wallet)s::text IS NULL OR %(wallet)s::text IN (wallet, to_wallet))
  AND (%(kind)s::text IS NULL OR kind = %(kind)s::text)
ORDER BY CASE WHEN %(newest_first)s THEN made_at END DESC,
         CASE WHEN %(newest_first)s THEN transaction_id END DESC, made_at, transaction_id
LIMIT %(limit)s OFFSET %(offset)s
"""

INSERT_TRANSACTION = """
INSERT INTO sentinel.transactions (made_at, kind, wallet, coin_id, quantity, price_usd, fee_usd,
                                   idr_per_usd, to_coin_id, to_quantity, to_wallet, note, identity)
VALUES (%(made_at)s, %(kind)s, %(wallet)s, %(coin_id)s, %(quantity)s, %(price_usd)s, %(fee_usd)s,
        %(idr_per_usd)s, %(to_coin_id)s, %(to_quantity)s, %(to_wallet)s, %(note)s, %(identity)s)
ON CONFLICT (identity) DO NOTHING
RETURNING transaction_id
"""

# The identity stays: the line of a file that the transaction came from adds nothing later.
UPDATE_TRANSACTION = """
UPDATE sentinel.transactions
SET made_at = %(made_at)s, kind = %(kind)s, wallet = %(wallet)s, coin_id = %(coin_id)s,
    quantity = %(quantity)s, price_usd = %(price_usd)s, fee_usd = %(fee_usd)s,
    idr_per_usd = %(idr_per_usd)s, to_coin_id = %(to_coin_id)s, to_quantity = %(to_quantity)s,
    to_wallet = %(to_wallet)s, note = %(note)s
WHERE transaction_id = %(transaction_id)s
"""

DELETE_TRANSACTION = """
WITH deleted AS (
    DELETE FROM sentinel.transactions WHERE transaction_id = %(transaction_id)s RETURNING *
)
INSERT INTO sentinel.deleted_transactions SELECT now(), * FROM deleted
"""
DROP_OLD_DELETIONS = """
DELETE FROM sentinel.deleted_transactions WHERE deleted_at < now() - %(undo_period)s
"""

# With its id and identity. None returned: the same transaction was imported again since.
RESTORE_TRANSACTION = """
WITH deleted AS (
    DELETE FROM sentinel.deleted_transactions
    WHERE transaction_id = %(transaction_id)s AND deleted_at >= now() - %(undo_period)s
    RETURNING *
)
INSERT INTO sentinel.transactions
    (transaction_id, made_at, kind, wallet, coin_id, quantity, price_usd, fee_usd, idr_per_usd,
     to_coin_id, to_quantity, to_wallet, note, identity)
OVERRIDING SYSTEM VALUE
SELECT transaction_id, made_at, kind, wallet, coin_id, quantity, price_usd, fee_usd, idr_per_usd,
       to_coin_id, to_quantity, to_wallet, note, identity
FROM deleted
ON CONFLICT (identity) DO NOTHING
"""


def lock_transactions(connection: Connection) -> None:
    """Let other changes of transactions wait until this database transaction ends."""
    connection.execute(LOCK_TRANSACTIONS, [LOCK_KEY])


def list_transactions(
    connection: Connection,
    *,
    transaction_id: int | None = None,
    coin_id: str | None = None,
    wallet: str | None = None,
    kind: TransactionKind | None = None,
    limit: int | None = None,
    offset: int = 0,
    newest_first: bool = False,
) -> list[Transaction]:
    """Return transactions by time: all of them, or those of one id, coin, wallet or kind."""
    parameters = {
        "transaction_id": transaction_id,
        "coin_id": coin_id,
        "wallet": wallet,
        "kind": kind,
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
    lock_transactions(connection)
    occurrence, fields = 1, join_fields(new)
    while (transaction_id := _insert(connection, new, make_identity(fields, occurrence))) is None:
        occurrence += 1
    ensure_not_oversold(list_transactions(connection))
    return transaction_id


def import_transactions(connection: Connection, imported: Iterable[Transaction]) -> int:
    """Store the transactions that are not stored yet; return how many these were.

    So a file may be imported twice, and an export on the machine it came from. Raises Oversold as
    `add_transaction` does.
    """
    lock_transactions(connection)
    return store_identified(connection, identify(connection, imported))


def store_identified(connection: Connection, imported: Iterable[tuple[Transaction, str]]) -> int:
    """Store the transactions whose identity is not stored yet; return how many these were.

    Raises Oversold as `add_transaction` does.
    """
    lock_transactions(connection)
    rows = [_make_row(*one) for one in imported]
    with connection.cursor() as cursor:
        cursor.executemany(INSERT_TRANSACTION, rows)
        added = cursor.rowcount if rows else 0
    ensure_not_oversold(list_transactions(connection))
    return added


def _insert(connection: Connection, transaction: Transaction, identity: str) -> int | None:
    """Return the id of a new transaction, None if its identity is stored already."""
    row = connection.execute(INSERT_TRANSACTION, _make_row(transaction, identity)).fetchone()
    return row[0] if row else None


def _make_row(transaction: Transaction, identity: str) -> dict[str, object]:
    return dataclasses.asdict(transaction) | {"identity": identity}


def edit_transaction(connection: Connection, edited: Transaction) -> bool:
    """Replace the transaction with the same id; return False if there is none.

    Raises Oversold as `add_transaction` does.
    """
    lock_transactions(connection)
    updated = connection.execute(UPDATE_TRANSACTION, dataclasses.asdict(edited)).rowcount
    ensure_not_oversold(list_transactions(connection))
    return bool(updated)


def delete_transaction(connection: Connection, transaction_id: int) -> Transaction | None:
    """Delete a transaction and return it; None if there is no such transaction.

    Raises Oversold if later sales need it; the caller must roll back.
    """
    lock_transactions(connection)
    found = list_transactions(connection, transaction_id=transaction_id)
    parameters = {"transaction_id": transaction_id, "undo_period": UNDO_PERIOD}
    connection.execute(DELETE_TRANSACTION, parameters)
    connection.execute(DROP_OLD_DELETIONS, parameters)
    ensure_not_oversold(list_transactions(connection))
    return found[0] if found else None


def restore_transaction(connection: Connection, transaction_id: int) -> Transaction | None:
    """Undo a deletion: store the transaction again with its id and identity, and return it.

    None: no transaction with this id was deleted within UNDO_PERIOD, or the same one was imported
    again since. Raises Oversold as `add_transaction` does; the caller must roll back.
    """
    lock_transactions(connection)
    parameters = {"transaction_id": transaction_id, "undo_period": UNDO_PERIOD}
    if not connection.execute(RESTORE_TRANSACTION, parameters).rowcount:
        return None
    ensure_not_oversold(list_transactions(connection))
    [transaction] = list_transactions(connection, transaction_id=transaction_id)
    return transaction
