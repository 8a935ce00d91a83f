"""Run PostgreSQL's client programs: dump a database, restore a dump in one transaction."""

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

HEAD_BYTES = 4096  # of a dump's SQL, where the settings are
LOCK_TIMEOUT = "30s"
# A newer pg_restore writes this setting first. Servers before 17 do not know it.
_NEWER_SETTING = re.compile(rb"^SET transaction_timeout = 0;\n", re.MULTILINE)
# A schema `sentinel` with tables but without our `schema_version` belongs to another application.
REFUSE_FOREIGN_SCHEMA = """
DO $$ BEGIN
    IF to_regclass('sentinel.schema_version') IS NULL AND EXISTS (
        SELECT FROM pg_class
        WHERE relnamespace = to_regnamespace('sentinel') AND relkind IN ('r', 'p', 'v')
    ) THEN
        RAISE EXCEPTION 'the schema sentinel has tables of another application: '
            'use another database';
    END IF;
END $$;
"""
# Drops our schema, which the dump then creates again. If an object of another application depends
# on it, PostgreSQL refuses, and nothing changes.
DROP_OURS = f"""
BEGIN;
SET LOCAL lock_timeout = '{LOCK_TIMEOUT}';
SET LOCAL statement_timeout = 0;
SET LOCAL client_min_messages = warning;
{REFUSE_FOREIGN_SCHEMA}
{DROP_SCHEMA}
"""
COMMIT = b"\nCOMMIT;\n"


def dump_database(address: Address, snapshot: str, path: Path) -> tuple[str, int]:
    """Dump the schema sentinel as of a snapshot; return the file's SHA-256 and its size in bytes.

    The address must not need TLS. Raises BackupFailed.
    """
    command = [
        str(program("pg_dump")),
        "--format=custom",
        "--schema=sentinel",
        "--no-owner",
        "--no-privileges",
        f"--snapshot={snapshot}",
    ]
    with tempfile.TemporaryFile() as errors:
        with _start(command, address, stdout=subprocess.PIPE, stderr=errors) as process:
            assert process.stdout is not None  # noqa: S101 (it is a pipe)
            try:
                digest, size = write_dump(process.stdout, path)
            except OSError as error:
                process.kill()
                raise BackupFailed(
                    f"The dump cannot be written to {path.parent} ({error.strerror}): free disk "
                    "space there, or name another folder."
                ) from error
        if process.returncode:
            raise BackupFailed(f"pg_dump failed: {_summarize_errors(errors)}")
    return digest, size


def restore_dump(path: Path, address: Address) -> None:
    """Replace the schema sentinel with that of a dump, in one transaction.

    The view market_data is not in the dump: `schema.migrate_if_needed` creates it afterwards. The
    address must not need TLS. Raises BackupFailed.
    """
    with tempfile.TemporaryFile() as reader_errors, tempfile.TemporaryFile() as writer_errors:
        reader = subprocess.Popen(
            [program("pg_restore"), "--file=-", "--no-owner", "--no-privileges", path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=reader_errors,
        )
        command = [str(program("psql")), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
        with (
            reader,
            _start(
                command,
                address,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=writer_errors,
            ) as writer,
        ):
            assert reader.stdout is not None and writer.stdin is not None  # noqa: S101, PT018
            try:
                _copy_script(reader.stdout, writer.stdin)
                # Without COMMIT, psql rolls back: a truncated dump changes nothing.
                if reader.wait() == 0:
                    writer.stdin.write(COMMIT)
                writer.stdin.close()
            except BrokenPipeError:  # psql stopped at an error, which is raised below
                reader.kill()
                with contextlib.suppress(BrokenPipeError):
                    writer.stdin.close()
        if writer.returncode:
            raise BackupFailed(
                f"{path.name} cannot be restored: {_summarize_errors(writer_errors)}"
            )
        if reader.returncode:
            raise BackupFailed(f"{path.name} cannot be read: {_summarize_errors(reader_errors)}")


def _copy_script(source: IO[bytes], target: IO[bytes]) -> None:
    target.write(DROP_OURS.encode())
    target.write(_NEWER_SETTING.sub(b"", source.read(HEAD_BYTES)))
    shutil.copyfileobj(source, target, 1 << 20)


def bypass_pooler(address: Address) -> Address:
    """Return the address of the same database without Neon's pooler, which cannot serve pg_dump.

    https://neon.com/docs/connect/connection-pooling
    """
    host = str(conninfo_to_dict(address.conninfo).get("host") or "")
    direct_host = re.sub(r"^(ep-[^.]+)-pooler\.", r"\1.", host)
    if direct_host == host:
        return address
    return Address(make_conninfo(address.conninfo, host=direct_host), address.display_name)


def _start(
    command: list[str],
    address: Address,
    *,
    stdout: int | IO[bytes],
    stderr: IO[bytes],
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start a client program.

    It gets the password in its environment: other users can read the arguments of a process.
    """
    conninfo, environment = _split_password(address.conninfo)
    return subprocess.Popen(
        [*command, f"--dbname={conninfo}"],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=environment,
    )


def _split_password(conninfo: str) -> tuple[str, Mapping[str, str]]:
    parts = conninfo_to_dict(conninfo)
    password = parts.pop("password", None)
    variables = {"PGPASSWORD": str(password)} if password else {}
    return make_conninfo("", **parts), {**os.environ, **variables}


def _summarize_errors(errors: IO[bytes]) -> str:
    """Return the first error that a program printed, in one line."""
    errors.seek(0)
    lines = [line for line in errors.read().decode(errors="replace").splitlines() if line]
    first = [line for line in lines if re.search(r"error|fatal", line, re.IGNORECASE)] or lines
    # psql lists the objects that depend on our tables in further lines.
    details = [line for line in lines if re.match(r"DETAIL|table |view |extension ", line)]
    return "; ".join([first[0], *details])[:400] if first else "it printed no reason"
