"""List, show, replay or discard the rejected entries of CoinGecko's responses.

A replay takes open entries through today's validation and loads those that are valid now, each
once. Entries that stay invalid stay open until they are discarded, or expire after 60 days.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import NamedTuple

import database
from pipeline.quarantine_replay import REFUSALS, replay
from pipeline.targets import load_registry
from safe_zone import Settings, load_settings
from sentinel import console
from sentinel.arguments import make_parser, moment, text
from sentinel.errors import EXIT_OK, ConfigurationError
from sentinel.health.checks import format_minute
from sentinel.process import run_as_script
from sentinel.storage import quarantine, schema
from sentinel.storage.connection import Session
from sentinel.storage.quarantine import Selection

SHOWN_ENTRIES = 50
EPILOG = """examples:
  python -m pipeline.quarantine list
  python -m pipeline.quarantine show --reason price_too_high
  python -m pipeline.quarantine replay --coin bitcoin --since 2026-11-20 --dry-run
  python -m pipeline.quarantine discard --reason null_price --note "delisted"
docs/troubleshooting.md#rejected-entries says when to do what."""


def main() -> int:
    """Run the action that the user typed; return 0."""
    options = _build_parser().parse_args()
    selection = Selection(
        options.reason, options.coin, options.since, tuple(getattr(options, "ids", ()))
    )
    if options.action == "discard" and selection == Selection() and not options.all:
        raise ConfigurationError(
            "Nothing was discarded: name entries, --reason, --coin or --since, or add --all."
        )
    settings, now = load_settings(), datetime.now(UTC)
    with schema.open_session(settings) as session:
        unknown = session.use(lambda c: quarantine.find_unknown_ids(c, selection))
        if unknown:
            raise ConfigurationError(
                f"No entry has the id {console.list_first(unknown, 3)}: "
                "python -m pipeline.quarantine show lists ids."
            )
        ACTIONS[options.action](Command(session, selection, options, settings, now))
    return EXIT_OK


def _build_parser() -> argparse.ArgumentParser:
    parser = make_parser("python -m pipeline.quarantine", __doc__, EPILOG)
    actions = parser.add_subparsers(dest="action", required=True)
    helps = {
        "list": "count the entries by reason and coin",
        "show": f"show single entries, the newest {SHOWN_ENTRIES}",
        "replay": "load what today's validation accepts",
        "discard": "close entries for good: no replay loads them",
    }
    for name, help_text in helps.items():
        action = actions.add_parser(name, help=help_text)
        if name != "list":
            action.add_argument("ids", nargs="*", metavar="ID", type=text, help="RUN/COIN")
        action.add_argument("--reason", type=text, help="only entries with this reason")
        action.add_argument("--coin", metavar="ID", type=text, help="only entries of this coin")
        action.add_argument("--since", metavar="TIME", type=moment, help="such as 2026-11-20")
        action.add_argument("--json", action="store_true", help="print JSON")
        if name == "replay":
            action.add_argument("--dry-run", action="store_true", help="load and mark nothing")
        if name == "discard":
            action.add_argument("--all", action="store_true", help="all open entries")
            action.add_argument("--note", metavar="TEXT", type=text, help="why, kept with them")
    return parser


class Command(NamedTuple):
    """What the user typed, and what it works with."""

    session: Session
    # The entries that it is about.
    selection: Selection
    options: argparse.Namespace
    settings: Settings
    now: datetime


def _list(command: Command) -> None:
    groups = command.session.use(lambda c: quarantine.group_entries(c, command.selection))
    if command.options.json:
        _print_json([group._asdict() for group in groups])
        return
    columns = ("reason", "coin", "open", "replayed", "discarded", "first", "last")
    cells = [(*group[:5], *map(format_minute, group[5:])) for group in groups]
    console.show_table("Rejected entries", columns, cells)
    print(f"{sum(group.open for group in groups):,} entries are open.")


def _show(command: Command) -> None:
    entries = command.session.use(
        lambda c: quarantine.read_entries(c, command.selection, SHOWN_ENTRIES)
    )
    if command.options.json:
        _print_json([asdict(entry) | {"id": entry.id} for entry in entries])
        return
    for entry in entries:
        closed = entry.resolved_at and f"{entry.resolution} {format_minute(entry.resolved_at)}"
        note = f" ({entry.note})" if entry.note else ""
        print(f"{entry.id}  {format_minute(entry.rejected_at)}  {entry.reason}  ", end="")
        print(f"{closed or 'open'}{note}\n  {entry.raw}")
    if not entries:
        print("No entry matches.")


def _replay(command: Command) -> None:
    registry = load_registry(command.settings.registry_path, command.now, is_dry_run=True)
    labels = {coin_id: coin.label for coin_id, coin in registry.coins.items()}
    with console.show_progress() as progress:
        result = replay(
            command.session,
            command.selection,
            labels,
            command.now,
            is_dry_run=command.options.dry_run,
            progress=progress,
        )
    if command.options.json:
        counts = {"loaded": result.loaded, "stored_before": result.stored_before}
        _print_json({**counts, "refused": dict(result.refused), "dry_run": command.options.dry_run})
        return
    verb = "would be" if command.options.dry_run else "were"
    print(f"{result.total:,} open entries: {result.loaded:,} {verb} loaded, ", end="")
    print(f"{result.stored_before:,} were stored before, {result.refused.total():,} stay open.")
    for reason, count in result.refused.most_common():
        print(f"  {count:,}: {REFUSALS.get(reason, f'rejected as {reason}')}")


def _discard(command: Command) -> None:
    count = database.run_write_without_purge(
        command.session,
        lambda c, _days: quarantine.resolve_entries(
            c, command.selection, "discarded", command.now, command.options.note
        ),
    )
    if command.options.json:
        _print_json({"discarded": count})
    else:
        print(f"{count:,} open entries were discarded.")


ACTIONS: Mapping[str, Callable[[Command], None]] = {
    "list": _list,
    "show": _show,
    "replay": _replay,
    "discard": _discard,
}


def _print_json(content: Sequence[object] | Mapping[str, object]) -> None:
    print(json.dumps(content, default=datetime.isoformat))


if __name__ == "__main__":
    run_as_script(main)
