"""How the scripts speak to a person: results to stdout, progress and complaints to stderr.

On a terminal that is a bar and tables (rich, imported only there); elsewhere plain lines.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator, Sequence

from sentinel.errors import ConfigurationError
from sentinel.process import format_annotation

Progress = Callable[[str, int, int], None]


def configure_logging(*, verbose: bool = False) -> None:
    """Send what the rooms log to stderr, a line each: warnings, or everything."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Spoken())
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    logging.getLogger("psycopg").setLevel(logging.ERROR)


class _Spoken(logging.Formatter):
    """A warning in the words of where it is read."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return format_annotation("warning", text) if record.levelno >= logging.WARNING else text


def print_error(message: object) -> None:
    """An error, on stderr."""
    print(format_annotation("error", message), file=sys.stderr)


def confirm(word: str, undone: str) -> None:
    """Go on only where a person at a terminal types the word; `undone` says what did not happen.

    Raises ConfigurationError.
    """
    if not sys.stdin.isatty():
        raise ConfigurationError(f"{undone}: no terminal to ask at. Add --yes to go on.")
    try:
        typed = input(f"Type {word} to go on: ").strip()
    except EOFError:
        typed = ""
    if typed != word:
        raise ConfigurationError(f"{undone}: the word was not {word}.")


@contextlib.contextmanager
def show_progress() -> Iterator[Progress]:
    """Yield a function `(stage, done, total)`: a bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _stage, _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bar(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda stage, done, total: bar.update(
            task, description=stage, completed=done, total=total
        )


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on stdout."""
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _show_rich(title, columns, texts)
        return
    widths = [max(map(len, cells)) for cells in zip(columns, *texts, strict=True)]
    print(title)
    for row in [list(columns), *texts]:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(f"  {'  '.join(cells)}".rstrip())


def _show_rich(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    Console().print(table)


def format_number(value: float | None) -> str:
    """A price or amount with as many digits as a person wants to read."""
    if value is None:
        return "unknown"
    if value == 0 or abs(value) >= 1:
        return f"{value:,.2f}"
    return f"{value:.4g}"
