"""PostgreSQL's own programs: dump a database, restore a dump, in one transaction or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sentinel.storage.connection import Address
from sentinel.storage.embedded import program
from sentinel.storage.schema import DROP_SCHEMA
from services.backup.manifest import BackupFailed, write_dump

HEAD_BYTES = 4096
LOCK_TIMEOUT = "30s"
# A server before 17 does not know what a newer pg_restore begins with.
_NEWER = re.compile(rb"^SET transaction_timeout = 0;\n", re.MULTILINE)
# A schema sentinel with tables but without our version beside them belongs to another program.
REFUSE_FOREIGN_SCHEMA = """
DO $$ BEGIN
    IF to_regclass('sentinel.schema_version') IS NULL AND EXISTS (
        SELECT FROM pg_class
        WHERE relnamespace = to_regnamespace('sentinel') AND relkind IN ('r', 'p', 'v')
    ) THEN
        RAISE EXCEPTION 'the schema sentinel holds tables of another program: name another
            database';
    END IF;
END $$;
"""
# Our schema makes room for the dump's. Where another program's objects depend on ours, PostgreSQL
# refuses, and nothing has changed.
MAKE_ROOM = f"""
BEGIN;
SET LOCAL lock_timeout = '{LOCK_TIMEOUT}';
SET LOCAL statement_timeout = 0;
SET LOCAL client_min_messages = warning;
{REFUSE_FOREIGN_SCHEMA}
{DROP_SCHEMA}
"""
COMMIT = b"\nCOMMIT;\n"


def dump(address: Address, snapshot: str, path: Path) -> tuple[str, int]:
    """Dump the schema sentinel as that snapshot sees it, from an address that needs no TLS; returns
    the file's digest and size.

    Raises BackupFailed.
    """
    command = [
        str(program("pg_dump")),
        "--format=custom",
        "--schema=sentinel",
        "--no-owner",
        "--no-privileges",
        f"--snapshot={snapshot}",
    ]
    with tempfile.TemporaryFile() as complaints:
        with _start(command, address, stdout=subprocess.PIPE, stderr=complaints) as process:
            assert process.stdout is not None  # noqa: S101 (asked for above)
            try:
                digest, size = write_dump(process.stdout, path)
            except OSError as error:
                process.kill()
                raise BackupFailed(
                    f"The dump cannot be written to {path.parent} ({error.strerror}). Make room, "
                    "or name another folder."
                ) from error
        if process.returncode:
            raise BackupFailed(f"pg_dump failed: {_complaint(complaints)}")
    return digest, size


def restore(path: Path, address: Address) -> None:
    """Replace the schema sentinel by the dump's, all of it or nothing. The address needs no "
    "TLS. The
    view market_data is not in the dump: `schema.migrate_if_needed` creates it afterwards.

    Raises BackupFailed.
    """
    with tempfile.TemporaryFile() as unread, tempfile.TemporaryFile() as refused:
        reader = subprocess.Popen(
            [program("pg_restore"), "--file=-", "--no-owner", "--no-privileges", path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=unread,
        )
        command = [str(program("psql")), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
        with (
            reader,
            _start(
                command, address, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=refused
            ) as writer,
        ):
            assert reader.stdout is not None and writer.stdin is not None  # noqa: S101, PT018
            try:
                _feed(reader.stdout, writer.stdin)
                # Only the whole of it is committed: a script that ends early is rolled back.
                if reader.wait() == 0:
                    writer.stdin.write(COMMIT)
                writer.stdin.close()
            except BrokenPipeError:  # psql has stopped at an error, which is told below
                reader.kill()
                with contextlib.suppress(BrokenPipeError):
                    writer.stdin.close()
        if writer.returncode:
            raise BackupFailed(f"{path.name} cannot be restored: {_complaint(refused)}")
        if reader.returncode:
            raise BackupFailed(f"{path.name} cannot be read: {_complaint(unread)}")


def _feed(source: IO[bytes], target: IO[bytes]) -> None:
    target.write(MAKE_ROOM.encode())
    target.write(_NEWER.sub(b"", source.read(HEAD_BYTES)))
    shutil.copyfileobj(source, target, 1 << 20)


def direct(address: Address) -> Address:
    """The same database past Neon's transaction pooler, which cannot carry a dump.

    https://neon.com/docs/connect/connection-pooling
    """
    host = str(conninfo_to_dict(address.conninfo).get("host") or "")
    straight = re.sub(r"^(ep-[^.]+)-pooler\.", r"\1.", host)
    if straight == host:
        return address
    return Address(make_conninfo(address.conninfo, host=straight), address.place)


def _start(
    command: list[str],
    address: Address,
    *,
    stdout: int | IO[bytes],
    stderr: IO[bytes],
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start a client program; the password goes by its environment, which other users cannot
    read, and not by its arguments, which they can."""
    conninfo, environment = _without_password(address.conninfo)
    return subprocess.Popen(
        [*command, f"--dbname={conninfo}"],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=environment,
    )


def _without_password(conninfo: str) -> tuple[str, Mapping[str, str]]:
    parts = conninfo_to_dict(conninfo)
    password = parts.pop("password", None)
    own = {"PGPASSWORD": str(password)} if password else {}
    return make_conninfo("", **parts), {**os.environ, **own}


def _complaint(complaints: IO[bytes]) -> str:
    """What a program complained of first, in a line."""
    complaints.seek(0)
    lines = [line for line in complaints.read().decode(errors="replace").splitlines() if line]
    worst = [line for line in lines if re.search(r"error|fatal", line, re.IGNORECASE)] or lines
    # psql tells in a second part which others' tables are in the way.
    more = [line for line in lines if re.match(r"DETAIL|table |view |extension ", line)]
    return "; ".join([worst[0], *more])[:400] if worst else "it did not say why"
