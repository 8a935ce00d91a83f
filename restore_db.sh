#!/bin/sh
# Usage: ./restore_db.sh FILE [--yes] [--no-backup]
# Replaces the stored data with a verified backup.
set -eu
root=$(cd "$(dirname "$0")" && pwd)
python="$root/.venv/bin/python"
[ -x "$python" ] || python=python3
PYTHONPATH="$root" PYTHONSAFEPATH=1 exec "$python" -m services.backup restore "$@"
