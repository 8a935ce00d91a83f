"""What a database must have, and must not have, before Market Sentinel creates its schema there."""

from __future__ import annotations

from sentinel.errors import ConfigurationError, StorageUnavailable
from sentinel.storage import error_hints
from sentinel.storage.connection import Connection

# Our view carries a comment (market_data.sql). A relation or type of that name without it belongs
# to another program; a table with these three columns, to the original project.
FOREIGN_MARKET_DATA = """
SELECT CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'table' WHEN 'v' THEN 'view'
                      WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
                      WHEN 'S' THEN 'sequence' WHEN 'c' THEN 'type' ELSE 'index' END AS kind,
       c.relkind IN ('r', 'p') AND 3 = (
           SELECT count(*) FROM pg_attribute
           WHERE attrelid = c.oid AND attname IN ('coin_id', 'price_usd', 'timestamp')
       ) AS is_original
FROM pg_class c
WHERE c.oid = to_regclass('public.market_data')
  AND coalesce(obj_description(c.oid, 'pg_class'), '') NOT LIKE 'Market Sentinel:%'
UNION ALL
SELECT CASE typtype WHEN 'd' THEN 'domain' ELSE 'type' END, false
FROM pg_type
WHERE typnamespace = to_regnamespace('public') AND typname = 'market_data' AND typrelid = 0
"""
# The statements that give this user the missing privileges; NULL for one that it has.
MISSING_GRANTS = """
SELECT CASE WHEN to_regnamespace('sentinel') IS NULL
                 AND NOT has_database_privilege(current_database(), 'CREATE')
            THEN format('GRANT CREATE ON DATABASE %I TO %I', current_database(), current_user) END,
       CASE WHEN NOT (has_schema_privilege('public', 'USAGE')
                      AND has_schema_privilege('public', 'CREATE'))
            THEN format('GRANT USAGE, CREATE ON SCHEMA public TO %I', current_user) END
"""
# A schema of our name with tables, but without our version beside them.
FOREIGN_SCHEMA = """
SELECT count(*)
FROM pg_class
WHERE relnamespace = to_regnamespace('sentinel') AND relkind IN ('r', 'p', 'v')
  AND to_regclass('sentinel.schema_version') IS NULL
"""


def refuse_unusable_database(connection: Connection) -> None:
    """Raise ConfigurationError where another program owns the names that we need, where there is no
    schema `public`, or where the encoding lacks characters; StorageUnavailable where the user lacks
    a privilege."""
    # SQL_ASCII stores all bytes as they are.
    encoding = connection.info.parameter_status("server_encoding")
    if encoding not in ("UTF8", "SQL_ASCII"):
        raise ConfigurationError(
            f"This database has the encoding {encoding}, which lacks characters of coin names. "
            f"{error_hints.CREATE_UTF8_DATABASE}"
        )
    if connection.execute("SELECT to_regnamespace('public')").fetchall() == [(None,)]:
        raise ConfigurationError(
            "This database has no schema public, where Market Sentinel creates its view "
            "market_data. Create it: CREATE SCHEMA public"
        )
    [grants] = connection.execute(MISSING_GRANTS).fetchall()
    if missing := "; ".join(filter(None, grants)):
        raise StorageUnavailable(
            "The database answers: permission denied. The user of DATABASE_URL may not create what "
            f"Market Sentinel needs. Run as the database's owner: {missing}"
        )
    refuse_foreign_market_data(connection)
    [(count,)] = connection.execute(FOREIGN_SCHEMA).fetchall()
    if count:
        raise ConfigurationError(
            "This database has a schema sentinel of another program. Market Sentinel needs that "
            "name and leaves the other one alone. Name another database in DATABASE_URL."
        )


def has_original_table(connection: Connection) -> bool:
    """Return whether `public.market_data` is the table of the original project."""
    found = connection.execute(FOREIGN_MARKET_DATA).fetchall()
    return any(is_original for _, is_original in found)


def refuse_foreign_market_data(connection: Connection) -> None:
    """Raise ConfigurationError where `public.market_data` is not the view of Market Sentinel."""
    for kind, is_original in connection.execute(FOREIGN_MARKET_DATA).fetchall():
        if is_original:
            raise ConfigurationError(
                "This database has the table public.market_data of the original project, whose "
                "name Market Sentinel needs for its view. Run python -m pipeline.import_original: "
                "it renames the table and imports its rows."
            )
        raise ConfigurationError(
            f"This database has a {kind} public.market_data of another program. Market Sentinel "
            "needs that name for its view and leaves the other one alone. Rename it (ALTER "
            f"{kind.upper()} public.market_data RENAME TO market_data_old), or name another "
            "database in DATABASE_URL."
        )
