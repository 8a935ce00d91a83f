"""Read an import file: find its format, and return its entries. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo

from services.api.imports.entries import Result
from services.api.imports.fields import (
    DateOrder,
    Dialect,
    find_date_order,
    find_decimal_comma,
)
from services.api.imports.formats import (
    FORMATS_BY_ID,
    MAPPED,
    OWN,
    ImportFormat,
    detect_format,
    is_known_header,
)
from services.api.imports.mapping import read_mapped, suggest_mapping
from services.api.imports.options import ImportOptions
from services.api.imports.table import Table, UnreadableFile, decode, fold, read_table

AUTO = "auto"
UNKNOWN = (
    "The columns are those of no known format: say in mapping which column holds made_at, coin or "
    "pair, quantity, and price or total."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """How a file is to be read."""

    # One of FORMAT_IDS, or AUTO.
    format: str = AUTO
    # Our field → their column.
    columns: Mapping[str, str] = field(default_factory=dict)
    date_order: DateOrder | None = None
    decimal_comma: bool | None = None
    zone: tzinfo | None = None
    options: ImportOptions = field(default_factory=ImportOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReading:
    """What a file holds."""

    # None: the format is unknown, and there are no results.
    format: str | None
    name: str
    # Why this format was chosen, in words.
    reason: str
    table: Table
    dialect: Dialect
    # Of Market Sentinel's own format: none, the rows are read elsewhere.
    results: tuple[Result, ...] = ()

    @property
    def suggested_mapping(self) -> dict[str, str]:
        """Our field → their column, as far as the names of the columns show it."""
        return suggest_mapping(self.table.headers)


def read_file(content: bytes, request: ImportRequest) -> FileReading:
    """Return the format and the entries of a file. Raises UnreadableFile."""
    mapped = frozenset(map(fold, request.columns.values()))

    def is_header(columns: frozenset[str]) -> bool:
        return bool(mapped and mapped <= columns) or is_known_header(columns)

    table = read_table(decode(content), is_header)
    chosen, reason = _choose_format(table, request)
    if chosen in FORMATS_BY_ID:
        return _read_known(FORMATS_BY_ID[chosen], reason, table, request)
    dialect = _find_dialect(table, request, UTC, None)
    results: list[Result] = []
    if chosen == MAPPED:
        results = [*table.problems, *read_mapped(table, dialect, request.columns)]
    names = {OWN: "Market Sentinel", MAPPED: "your mapping", "": "unknown"}
    return FileReading(
        format=chosen or None,
        name=names[chosen],
        reason=reason,
        table=table,
        dialect=dialect,
        results=_sort(results),
    )


def _choose_format(table: Table, request: ImportRequest) -> tuple[str, str]:
    """Return the id of the format, empty if it is unknown, and why it was chosen."""
    detected = detect_format(table.columns)
    if request.format != AUTO:
        if request.format not in (MAPPED, detected):
            raise UnreadableFile(
                f"The file does not have the columns of the format '{request.format}': use "
                "format=auto, or give a mapping."
            )
        return request.format, "the request names it"
    if request.columns:
        return MAPPED, "the request has a mapping"
    if detected is None:
        return "", UNKNOWN
    return detected, "the file has its columns"


def _read_known(
    chosen: ImportFormat, reason: str, table: Table, request: ImportRequest
) -> FileReading:
    dialect = _find_dialect(table, request, chosen.zone, chosen.decimal_comma)
    if chosen.zone is not UTC and request.zone is None:
        reason += f"; times without a zone are read as {chosen.zone}"
    results = [*table.problems, *chosen.read(table, dialect)]
    return FileReading(
        format=chosen.id,
        name=chosen.name,
        reason=reason,
        table=table,
        dialect=dialect,
        results=_sort(results),
    )


def _find_dialect(
    table: Table, request: ImportRequest, zone: tzinfo, decimal_comma: bool | None
) -> Dialect:
    cells = [cell for row in table.rows for cell in row.cells]
    comma = request.decimal_comma
    if comma is None:
        comma = find_decimal_comma(cells)
    return Dialect(
        request.date_order or find_date_order(cells),
        decimal_comma if comma is None else comma,
        request.zone or zone,
    )


def _sort(results: list[Result]) -> tuple[Result, ...]:
    """Return results by their first line."""
    return tuple(sorted(results, key=_first_line))


def _first_line(result: Result) -> int:
    return result.rows[0].number
