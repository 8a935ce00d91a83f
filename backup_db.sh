#!/bin/sh
# Back up the database, prove the backup, prune older ones: ./backup_db.sh [FOLDER]
set -eu
root=$(cd "$(dirname "$0")" && pwd)
python="$root/.venv/bin/python"
[ -x "$python" ] || python=python3
PYTHONPATH="$root" PYTHONSAFEPATH=1 exec "$python" -m services.backup save "$@"
