"""Row counts and checksums of a database, to compare it with another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString, NamedTuple

from psycopg import sql

from sentinel.storage.connection import Connection

MAX_SHOWN_DIFFERENCES = 5

# Settings under which equal rows have equal text on every server. Without a search path,
# definitions include the schema. Where a row policy would hide rows, PostgreSQL raises an error.
SET_CANONICAL_OUTPUT = """
SET LOCAL search_path = '';
SET LOCAL row_security = off;
SET LOCAL TimeZone = 'UTC';
SET LOCAL DateStyle = 'ISO';
SET LOCAL IntervalStyle = 'postgres';
SET LOCAL extra_float_digits = 1;
SET LOCAL bytea_output = 'hex'
"""
# Those that the server knows: reading a large database takes long.
DISABLE_TIMEOUTS = """
SELECT set_config(name, '0', true)
FROM pg_settings
WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')
"""

TABLES = """
SELECT c.relname::text
FROM pg_class c
WHERE c.relnamespace = to_regnamespace('sentinel') AND c.relkind IN ('r', 'p')
  AND NOT c.relispartition
ORDER BY 1
"""

# A digest of columns, constraints and enum labels. The texts do not depend on the version of the
# server. Indexes that a user added are not in it: a restore creates those of the migrations.
SCHEMA = """
SELECT coalesce(md5(string_agg(line, E'\\n' ORDER BY line COLLATE "C")), '')
FROM (
    SELECT concat_ws(' ', c.relname, c.relkind, a.attname, format_type(a.atttypid, a.atttypmod),
                     a.attnotnull, a.attidentity, pg_get_expr(d.adbin, d.adrelid))
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = to_regnamespace('sentinel') AND c.relkind IN ('r', 'p', 'v')
    UNION ALL
    SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint
    WHERE connamespace = to_regnamespace('sentinel') AND contype IN ('p', 'u', 'c', 'f')
    UNION ALL
    SELECT concat_ws(' ', t.typname, e.enumsortorder, e.enumlabel)
    FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid
    WHERE t.typnamespace = to_regnamespace('sentinel')
) AS definitions (line)
"""

# The sum of the rows' digests does not depend on the order of the rows.
# https://www.postgresql.org/docs/current/functions-binarystring.html
COUNT_TABLE: LiteralString = """
SELECT count(*), coalesce(sum(('x' || left(md5(t::text), 16))::bit(64)::bigint::numeric), 0)::text
FROM {table} AS t
"""
COUNT_DAYS = """
SELECT (observed_at AT TIME ZONE 'UTC')::date::text, count(*),
       sum(('x' || left(md5(o::text), 16))::bit(64)::bigint::numeric)::text
FROM sentinel.observations AS o
GROUP BY 1
ORDER BY 1
"""
NEWEST = "SELECT max(observed_at)::text FROM sentinel.observations"


class TableChecksum(NamedTuple):
    """The rows of a table, or of one of its days."""

    rows: int
    # The sum of the digests of the rows.
    checksum: str


@dataclass(frozen=True, slots=True)
class DatabaseContents:
    """What a database holds."""

    # A digest of the definitions of its tables.
    schema: str
    # By table, without the observations.
    tables: dict[str, TableChecksum]
    # Observations by UTC day.
    days: dict[str, TableChecksum]
    # The time of the newest observation.
    newest: str | None

    @property
    def observations(self) -> int:
        """The number of observations."""
        return sum(day.rows for day in self.days.values())


def read_contents(connection: Connection) -> DatabaseContents:
    """Return what a database holds. Changes the settings of the caller's transaction."""
    connection.execute(SET_CANONICAL_OUTPUT)
    connection.execute(DISABLE_TIMEOUTS)
    [(schema,)] = connection.execute(SCHEMA).fetchall()
    names = [name for (name,) in connection.execute(TABLES)]
    tables = {}
    for name in names:
        if name != "observations":
            count = sql.SQL(COUNT_TABLE).format(table=sql.Identifier("sentinel", name))
            [row] = connection.execute(count).fetchall()
            tables[name] = TableChecksum(*row)
    if "observations" not in names:
        return DatabaseContents(schema, tables, {}, None)
    days = {
        day: TableChecksum(rows, checksum) for day, rows, checksum in connection.execute(COUNT_DAYS)
    }
    [(newest,)] = connection.execute(NEWEST).fetchall()
    return DatabaseContents(schema, tables, days, newest)


def list_differences(expected: DatabaseContents, found: DatabaseContents) -> list[str]:
    """Return one sentence per difference; an empty list for equal databases."""
    differences = []
    if expected.schema != found.schema:
        differences.append("the columns or constraints differ from those of its schema version")
    if expected.newest != found.newest:
        newest = found.newest or "no time"
        differences.append(f"the newest observation is of {newest}, not {expected.newest}")
    for label, before, after in (
        ("observations of ", expected.days, found.days),
        ("table ", expected.tables, found.tables),
    ):
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                text = _describe_difference(before.get(name), after.get(name))
                differences.append(f"{label}{name}: {text}")
    return differences


def _describe_difference(expected: TableChecksum | None, found: TableChecksum | None) -> str:
    if expected and found and expected.rows == found.rows:
        return "other values"
    return f"{found.rows if found else 0:,} rows, {expected.rows if expected else 0:,} expected"


def summarize(differences: list[str]) -> str:
    """Return the first differences and the number of the others, in one line."""
    hidden = len(differences) - MAX_SHOWN_DIFFERENCES
    more = f" and {hidden} more" if hidden > 0 else ""
    return "; ".join(differences[:MAX_SHOWN_DIFFERENCES]) + more
