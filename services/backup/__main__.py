"""`python -m services.backup`: create a verified backup of the database, or restore one.

`./backup_db.sh` and `./restore_db.sh` call it.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import argparse
from pathlib import Path

from sentinel import heartbeat
from sentinel.arguments import add_ignore_budget, make_parser
from sentinel.clocks import SYSTEM_CLOCKS
from sentinel.errors import ConfigurationError
from sentinel.process import configure_logging, run_as_script
from services.backup.create import create_backup
from services.backup.restore import restore_backup
from services.settings import load_monitor_settings

EPILOG = """examples:
  ./backup_db.sh                          creates a backup in .sentinel/backups
  ./backup_db.sh /mnt/disk/backups        exit code 0 only if the dump was restored and compared
  ./restore_db.sh /mnt/disk/backups/market-sentinel-20261120T030000Z.zip
  python -m services.backup create        the command behind ./backup_db.sh"""


def main() -> int:
    """Run the command; return 0. Raises BackupFailed (exit code 6)."""
    arguments = _parse_arguments()
    configure_logging(verbose=True)
    if arguments.action == "create":
        return _create(arguments.folder, ignore_budget=arguments.ignore_budget)
    return restore_backup(
        load_monitor_settings(),
        arguments.file.absolute(),
        should_confirm=not arguments.yes,
        should_back_up=not arguments.no_backup,
        ignore_budget=arguments.ignore_budget,
    )


def _create(folder: str | None, *, ignore_budget: bool) -> int:
    """Create a backup and report it to the dead man's switch, if one is set."""
    with heartbeat.report_wrong_settings("HEARTBEAT_URL_BACKUP"):
        monitor = load_monitor_settings()
        if folder == "":
            raise ConfigurationError(
                "The name of the folder is empty. Is a variable of your script not set?"
            )
    path = Path(folder or monitor.settings.state_dir / "backups").absolute()
    now = SYSTEM_CLOCKS.now().replace(microsecond=0)
    with heartbeat.watch(monitor.backup_heartbeat_url):
        return create_backup(monitor, path, now, ignore_budget=ignore_budget)


def _parse_arguments() -> argparse.Namespace:
    parser = make_parser("python -m services.backup", __doc__, EPILOG)
    actions = parser.add_subparsers(dest="action", required=True)
    create = actions.add_parser("create", help="dump the database, verify the dump, prune old ones")
    create.add_argument("folder", nargs="?", help="default: backups/ in the state directory")
    restore = actions.add_parser("restore", help="replace the stored data with a backup")
    restore.add_argument("file", type=Path, help="a dump that create made")
    restore.add_argument("--yes", action="store_true", help="do not ask (for scripts)")
    restore.add_argument(
        "--no-backup", action="store_true", help="do not back up the stored data first"
    )
    for action in (create, restore):
        add_ignore_budget(action)
    return parser.parse_args()


if __name__ == "__main__":
    run_as_script(main)
