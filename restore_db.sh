#!/bin/sh
# Put a proven backup in place of what is stored: ./restore_db.sh FILE [--yes] [--without-backup]
set -eu
root=$(cd "$(dirname "$0")" && pwd)
python="$root/.venv/bin/python"
[ -x "$python" ] || python=python3
PYTHONPATH="$root" PYTHONSAFEPATH=1 exec "$python" -m services.backup restore "$@"
