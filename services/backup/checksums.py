"""What a database holds, in figures that two databases can be compared by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, LiteralString, NamedTuple

from psycopg import sql

from sentinel.storage.connection import Connection

SHOWN = 5

# So that a row reads the same wherever it lies.
SPEAK_PLAINLY = (
    "SET LOCAL search_path = ''",  # so that definitions name their schemas
    "SET LOCAL TimeZone = 'UTC'",
    "SET LOCAL DateStyle = 'ISO'",
    "SET LOCAL IntervalStyle = 'postgres'",
    "SET LOCAL extra_float_digits = 1",
    "SET LOCAL bytea_output = 'hex'",
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
)

TABLES = """
SELECT c.relname::text
FROM pg_class c
WHERE c.relnamespace = to_regnamespace('sentinel') AND c.relkind IN ('r', 'p')
  AND NOT c.relispartition
ORDER BY 1
"""

# Columns, indexes, constraints and labels, in words that do not depend on the server's version.
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
    SELECT indexdef FROM pg_indexes WHERE schemaname = 'sentinel'
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

# The sum of the rows' digests is the same in whatever order they lie.
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


class Sum(NamedTuple):
    """Rows, and the sum of their digests."""

    rows: int
    checksum: str


@dataclass(frozen=True, slots=True)
class Contents:
    """Every table's sum, the observations' by UTC day and the time of the newest of them, and a
    digest of the schema."""

    schema: str
    tables: dict[str, Sum]
    days: dict[str, Sum]
    newest: str | None

    @property
    def observations(self) -> int:
        """How many observations there are."""
        return sum(day.rows for day in self.days.values())

    def as_json(self) -> dict[str, Any]:
        """As a manifest holds it."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Contents:
        """Read what `as_json` gave. Raises KeyError, TypeError or ValueError where it is none."""
        tables, days = (
            {str(name): Sum(int(rows), str(checksum)) for name, (rows, checksum) in part.items()}
            for part in (found["tables"], found["days"])
        )
        return cls(str(found["schema"]), tables, days, found["newest"])


def read(connection: Connection) -> Contents:
    """What a database holds; needs a transaction, whose settings it changes."""
    for statement in SPEAK_PLAINLY:
        connection.execute(statement)
    [(schema,)] = connection.execute(SCHEMA).fetchall()
    names = [name for (name,) in connection.execute(TABLES)]
    tables = {}
    for name in names:
        if name != "observations":
            count = sql.SQL(COUNT_TABLE).format(table=sql.Identifier("sentinel", name))
            [row] = connection.execute(count).fetchall()
            tables[name] = Sum(*row)
    if "observations" not in names:
        return Contents(schema, tables, {}, None)
    days = {day: Sum(rows, checksum) for day, rows, checksum in connection.execute(COUNT_DAYS)}
    [(newest,)] = connection.execute(NEWEST).fetchall()
    return Contents(schema, tables, days, newest)


def differences(expected: Contents, found: Contents) -> list[str]:
    """Where two databases differ, in words; empty where they hold the same."""
    complaints = []
    if expected.schema != found.schema:
        complaints.append("the schema is not the same")
    if expected.newest != found.newest:
        newest = found.newest or "no time"
        complaints.append(f"the newest observation is of {newest}, not {expected.newest}")
    for what, ours, theirs in (
        ("observations of ", expected.days, found.days),
        ("table ", expected.tables, found.tables),
    ):
        for name in sorted(ours.keys() | theirs.keys()):
            before, after = ours.get(name), theirs.get(name)
            if before == after:
                continue
            rows = (0 if one is None else one.rows for one in (after, before))
            counted = "{:,} rows, {:,} expected".format(*rows)
            is_count = before is None or after is None or before.rows != after.rows
            complaints.append(f"{what}{name}: {counted if is_count else 'other values'}")
    return complaints


def summarize(complaints: list[str]) -> str:
    """The first few, and how many more."""
    more = f" and {len(complaints) - SHOWN} more" if len(complaints) > SHOWN else ""
    return "; ".join(complaints[:SHOWN]) + more
