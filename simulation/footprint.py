"""What the runs leave behind: memory, open files, and the sizes of tables and files."""

from __future__ import annotations

import resource
from pathlib import Path

import psycopg

from simulation.world import World

# The size of each table in bytes, its partitions and indexes included.
TABLES = """
SELECT coalesce(p.relname, c.relname)::text, sum(pg_total_relation_size(c.oid))::bigint
FROM pg_class c
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
LEFT JOIN pg_class p ON p.oid = i.inhparent
WHERE c.relnamespace = 'sentinel'::regnamespace AND c.relkind = 'r'
GROUP BY 1
"""
DESCRIPTORS = Path("/dev/fd")


def measure_footprint(world: World, connection: psycopg.Connection) -> dict[str, int]:
    """Return numbers by name; sizes are in bytes."""
    tables: dict[str, int] = dict(connection.execute(TABLES).fetchall())
    state = world.settings.state_dir
    files = [path for path in state.glob("*.json") if path.is_file()]
    return {
        "peak memory (KB)": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "open descriptors": len(list(DESCRIPTORS.iterdir())),
        **{f"table {name}": size for name, size in sorted(tables.items())},
        **{f"file {path.name}": path.stat().st_size for path in sorted(files)},
        "files of the spool": _size(state / "spool"),
        "files of the archive": _size(world.archive_folder),
        "number of files": sum(1 for _ in state.rglob("*")),
        "file coin_registry.json": world.settings.registry_path.stat().st_size,
    }


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
