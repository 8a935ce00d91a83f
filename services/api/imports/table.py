"""Turn the bytes of an import file into a table. Pure functions."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from services.api.imports.entries import ProblemLine, Row

MAX_LINES = 10_000
SEPARATORS = ",;\t"
# Coinbase writes up to seven lines above its header.
MAX_PREAMBLE_LINES = 20
# The beginnings of files that people send instead of a CSV.
FOREIGN_FILES = (
    (b"PK\x03\x04", "This is an Excel file: export it as CSV."),
    (b"\xd0\xcf\x11\xe0", "This is an Excel file: export it as CSV."),
    (b"%PDF", "This is a PDF: ask the exchange for the CSV."),
    (b"\x1f\x8b", "This is a compressed file: unpack it first."),
)
BYTE_ORDER_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

# Returns whether a set of column names is the header of a known format.
IsHeader = Callable[[frozenset[str]], bool]


class UnreadableFile(ValueError):
    """A file that is no table; the text is one sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Table:
    """The lines of a file below its header."""

    # As the file writes them.
    headers: tuple[str, ...]
    rows: tuple[Row, ...]
    # Rows with too few or too many fields.
    problems: tuple[ProblemLine, ...]

    @property
    def columns(self) -> frozenset[str]:
        """The names of the columns as the readers know them."""
        return frozenset(map(fold, self.headers))


def fold(header: str) -> str:
    """Return the name of a column without case, double spaces and footnote marks."""
    return " ".join(re.sub(r"[\ufeff¹²³*]", "", header).lower().split())


def decode(content: bytes) -> str:
    """Return the text of a file in UTF-8 or UTF-16. Raises UnreadableFile."""
    for beginning, message in FOREIGN_FILES:
        if content.startswith(beginning):
            raise UnreadableFile(message)
    encoding = "utf-16" if content.startswith(BYTE_ORDER_MARKS) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise UnreadableFile(
            "The file is not UTF-8 text: save it as CSV in UTF-8, or export it again."
        ) from error
    if "\x00" in text:
        raise UnreadableFile("The file holds NUL characters: it is damaged, or it is not a text.")
    if re.match(r"\s*<(!doctype|html|\?xml)", text, re.IGNORECASE):
        raise UnreadableFile("This is a web page, not a CSV: use the exchange's export.")
    return text


def read_table(text: str, is_header: IsHeader) -> Table:
    """Return the lines of a CSV, whose separator and header are looked for. Raises UnreadableFile.

    A preamble above the header is dropped if the header is one of a known format.
    """
    separator, skipped = _find_header(text, is_header)
    lines = _split(text, separator)
    headers: tuple[str, ...] = ()
    names: list[str] = []
    rows: list[Row] = []
    problems: list[ProblemLine] = []
    for number, cells in lines[skipped:]:
        if not any(cell.strip() for cell in cells):
            continue
        if not headers:
            headers = _check_headers(cells)
            names = [fold(header) for header in headers]
            continue
        row = _make_row(number, cells, names)
        if len(_trim(cells, len(headers))) == len(headers):
            rows.append(row)
        else:
            problems.append(_wrong_number_of_fields(row, len(headers)))
    if not headers:
        raise UnreadableFile("The file is empty.")
    if len(rows) + len(problems) > MAX_LINES:
        count = len(rows) + len(problems)
        raise UnreadableFile(
            f"The CSV has {count:,} lines; at most {MAX_LINES:,} are allowed: split it."
        )
    return Table(headers, tuple(rows), tuple(problems))


def _split(text: str, separator: str, limit: int | None = None) -> list[tuple[int, list[str]]]:
    """Return the fields of each line with the number of the line in the file."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    lines: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            lines.append((reader.line_num, cells))
            if limit is not None and len(lines) >= limit:
                break
    except csv.Error as error:
        raise UnreadableFile(
            f"Line {reader.line_num} cannot be read ({error}): the file is damaged or cut off; "
            "export it again."
        ) from error
    return lines


def _find_header(text: str, is_header: IsHeader) -> tuple[str, int]:
    """Return the separator and the number of lines above the header."""
    best = (0, ",")
    failure: UnreadableFile | None = None
    for separator in SEPARATORS:
        try:
            lines = _split(text, separator, MAX_PREAMBLE_LINES)
        except UnreadableFile as error:
            failure = failure or error
            continue
        for index, (_, cells) in enumerate(lines):
            if is_header(frozenset(map(fold, cells))):
                return separator, index
        widths = [len(cells) for _, cells in lines if any(cells)]
        best = max(best, (widths[0] if widths else 0, separator), key=lambda one: one[0])
    if failure is not None and best[0] == 0:
        raise failure
    return best[1], 0


def _check_headers(cells: list[str]) -> tuple[str, ...]:
    headers = [cell.strip().removeprefix("\ufeff") for cell in cells]
    while headers and not headers[-1]:
        headers.pop()
    twice = [name for name, count in Counter(map(fold, headers)).items() if count > 1]
    if twice:
        raise UnreadableFile(f"The header names the column '{twice[0][:50]}' twice: rename one.")
    if len(headers) == 1:
        raise UnreadableFile("The file has a single column: it is no CSV with , ; or tab between.")
    return tuple(headers)


def _make_row(number: int, cells: list[str], names: list[str]) -> Row:
    # A note keeps its spaces: they belong to the text.
    fields = {
        name: cell if name == "note" else cell.strip()
        for name, cell in zip(names, cells, strict=False)
    }
    return Row(number, tuple(_trim(cells, len(names))), fields)


def _trim(cells: list[str], width: int) -> list[str]:
    """Return the cells without empty ones behind the last column, as some exports have them."""
    while len(cells) > width and not cells[-1].strip():
        cells = cells[:-1]
    return cells


def _wrong_number_of_fields(row: Row, width: int) -> ProblemLine:
    found = len(row.cells)
    return ProblemLine(
        (row,),
        f"the line must have {width} fields as the header, not {found}: the file is damaged or "
        "cut off; export it again.",
    )
