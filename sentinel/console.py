"""What commands print: results to stdout, progress, warnings and errors to stderr.

On a terminal the output has a progress bar and tables (by rich, which is imported only then). In a
pipe or a log it consists of plain lines.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence

from sentinel.errors import ConfigurationError
from sentinel.process import format_annotation

# Called with the stage, the number of steps done, and their total.
Progress = Callable[[str, int, int], None]


def print_error(message: object) -> None:
    """Print an error to stderr."""
    print(format_annotation("error", message), file=sys.stderr)


def print_notice(message: object) -> None:
    """Print a sentence to stderr that is neither a warning nor an error."""
    print(message, file=sys.stderr)


def confirm(word: str, undone: str) -> None:
    """Ask the user at a terminal to type `word`, and return if the answer is right.

    Raises ConfigurationError otherwise, with `undone`, which says what the command did not do.
    """
    if not sys.stdin.isatty():
        raise ConfigurationError(
            f"{undone}: no terminal to ask for confirmation. Add --yes to continue."
        )
    try:
        typed = input(f"Type {word} to continue: ").strip()
    except EOFError:
        typed = ""
    if typed != word:
        raise ConfigurationError(f"{undone}: the word was not {word}.")


@contextlib.contextmanager
def show_progress() -> Iterator[Progress]:
    """Yield a function that updates a progress bar; without a terminal it does nothing."""
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
    """Print a table to stdout."""
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


def list_first(items: Sequence[object], most: int = 10) -> str:
    """Return the first `most` items, and how many more there are."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(map(str, items[:most])) + more


def format_number(value: float | None) -> str:
    """Return a price or amount with a readable number of digits; None is "unknown"."""
    if value is None:
        return "unknown"
    if value == 0 or abs(value) >= 1:
        return f"{value:,.2f}"
    return f"{value:.4g}"
