"""The identities of transactions: a file that is imported again adds nothing."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable

from psycopg.rows import dict_row

from sentinel.storage.connection import Connection
from services.api.portfolio.models import Transaction
from services.api.portfolio.transactions_csv import FIRST_COLUMNS, LATER_COLUMNS, format_field

STORED_IDENTITIES = """
SELECT identity FROM sentinel.transactions WHERE identity = ANY (%(identities)s)
"""

TRANSACTIONS_WITH_IDENTITY = "SELECT * FROM sentinel.transactions ORDER BY transaction_id"


def identify(
    connection: Connection, transactions: Iterable[Transaction]
) -> list[tuple[Transaction, str]]:
    """Return each transaction with its identity.

    It is made of the fields, and of the position of identical transactions among themselves. A
    stored transaction that was edited, or came from an exchange's file, has another identity than
    its fields make: an export of it has the one that is stored.
    """
    stored = _find_identities_by_fields(connection)
    known = {identity for identities in stored.values() for identity in identities}
    occurrences: Counter[str] = Counter()
    identified = []
    for transaction in transactions:
        fields = join_fields(transaction)
        same, position = stored.get(fields, ()), occurrences[fields]
        occurrences[fields] += 1
        identity = make_identity(fields, occurrences[fields])
        if identity not in known and position < len(same):
            identity = same[position]
        identified.append((transaction, identity))
    return identified


def _find_identities_by_fields(connection: Connection) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    with connection.cursor(row_factory=dict_row) as cursor:
        for row in cursor.execute(TRANSACTIONS_WITH_IDENTITY):
            identity = row.pop("identity")
            found[join_fields(Transaction(**row))].append(identity)
    return found


def find_stored_identities(connection: Connection, identities: Iterable[str]) -> set[str]:
    """Return which of these identities are stored."""
    rows = connection.execute(STORED_IDENTITIES, {"identities": list(identities)})
    return {identity for (identity,) in rows}


def join_fields(transaction: Transaction) -> str:
    """Return the fields that identify a transaction; the rate may become known only later.

    Purchases and sales in the main wallet have the same fields as before there were other kinds.
    """
    names = [name for name in FIRST_COLUMNS if name != "idr_per_usd"]
    if transaction.kind not in ("buy", "sell") or transaction.wallet:
        names = [*LATER_COLUMNS, *names]
    return "|".join(format_field(transaction, name) for name in names)


def make_identity(fields: str, occurrence: int) -> str:
    """Return the identity of the n-th transaction with these fields."""
    return hashlib.sha256(f"{fields}|{occurrence}".encode()).hexdigest()
