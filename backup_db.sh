#!/bin/sh
# Usage: ./backup_db.sh [FOLDER]
# Dumps the database, restores the dump on a scratch server to compare it, and deletes old backups.
set -eu
root=$(cd "$(dirname "$0")" && pwd)
python="$root/.venv/bin/python"
[ -x "$python" ] || python=python3
PYTHONPATH="$root" PYTHONSAFEPATH=1 exec "$python" -m services.backup create "$@"
