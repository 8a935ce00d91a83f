"""Delete all data that Market Sentinel stored in the configured database, after asking."""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

from safe_zone import load_settings
from sentinel import console
from sentinel.arguments import make_parser
from sentinel.errors import EXIT_OK
from sentinel.process import run_as_script
from sentinel.storage import schema
from sentinel.storage.connection import Session, resolve_database
from sentinel.storage.preconditions import refuse_foreign_market_data
from sentinel.storage.queries.table_health import count_stored

CONFIRMATION_WORD = "DELETE"


def main() -> int:
    """Show what will be deleted, ask the user to confirm, and delete it; return 0."""
    parser = make_parser("reset_db.py", __doc__, "example: python reset_db.py --yes")
    parser.add_argument("--yes", action="store_true", help="do not ask (for scripts)")
    arguments = parser.parse_args()
    with resolve_database(load_settings()) as address, Session(address) as session:
        counts = session.use(count_stored)
        if counts is None:
            session.use(refuse_foreign_market_data)
            print(f"{address.display_name} holds no market data: nothing to delete.")
            return EXIT_OK
        print(f"{address.display_name} holds {_describe(*counts)}. All of it will be deleted.")
        if not arguments.yes:
            console.confirm(CONFIRMATION_WORD, "Nothing deleted")
        session.use(schema.drop_schema)
        print("Deleted. The next run of ingest.py creates new tables.")
    return EXIT_OK


def _describe(observations: int, transactions: int) -> str:
    noun = "transaction" if transactions == 1 else "transactions"
    portfolio = f" and {transactions:,} {noun} of a portfolio" if transactions else ""
    return f"{observations:,} observations{portfolio}"


if __name__ == "__main__":
    run_as_script(main)
