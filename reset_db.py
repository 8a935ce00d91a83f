"""Delete everything the pipeline stored in the configured database, after asking."""

from __future__ import annotations

import argparse

from safe_zone import load_settings
from sentinel import console
from sentinel.errors import EXIT_OK
from sentinel.process import run_as_script
from sentinel.storage import schema
from sentinel.storage.connection import Connection, Session, resolve_database
from sentinel.storage.queries.table_health import count_observations, count_transactions

WORD = "DELETE"


def main() -> int:
    """Show what would go, ask for the word, delete; returns 0."""
    parser = argparse.ArgumentParser(
        prog="reset_db.py", description=__doc__, epilog="example: python reset_db.py --yes"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask (for scripts)")
    arguments = parser.parse_args()
    console.configure_logging()
    with (
        resolve_database(load_settings()) as address,
        Session(address) as session,
    ):
        found = session.use(_count)
        if found is None:
            print(f"{address.display_name} holds no market data: nothing to delete.")
            return EXIT_OK
        rows, transactions = found
        entries = "transaction" if transactions == 1 else "transactions"
        own = f" and {transactions:,} {entries} of a portfolio" if transactions else ""
        print(
            f"{address.display_name} holds {rows:,} observations{own}. "
            "All of them would be deleted."
        )
        if not arguments.yes:
            console.confirm(WORD, "Nothing deleted")
        session.use(schema.drop_schema)
        print("Deleted. The next run of ingest.py starts afresh.")
    return EXIT_OK


def _count(connection: Connection) -> tuple[int, int] | None:
    if not schema.has_schema(connection):
        return None
    return count_observations(connection), count_transactions(connection)


if __name__ == "__main__":
    run_as_script(main)
