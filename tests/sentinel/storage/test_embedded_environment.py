"""The embedded server in an environment that is made for another server."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest
from psycopg import pq

from sentinel.storage.embedded import ensure_running

# libpq's list, and the variables that it reads for no parameter of its connection strings:
# https://www.postgresql.org/docs/current/libpq-envars.html
VARIABLES = sorted(
    {option.envvar.decode() for option in pq.Conninfo.get_defaults() if option.envvar}
    | {"PGDATESTYLE", "PGTZ", "PGGEQO", "PGSERVICEFILE", "PGSYSCONFDIR", "PGREQUIRESSL"}
)
VALUES = {
    "PGHOSTADDR": "127.0.0.1",
    "PGSSLNEGOTIATION": "direct",
    "PGDATESTYLE": "German",
    "PGOPTIONS": "-c default_transaction_read_only=on",
}


@pytest.mark.parametrize("names", [VARIABLES, *([name] for name in VARIABLES)], ids=len)
def test_no_pg_variable_changes_the_connection_to_the_embedded_server(
    server: str, server_dir: Path, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    for name in names:
        monkeypatch.setenv(name, VALUES.get(name, "elsewhere"))
    with ensure_running(server_dir) as conninfo:
        assert conninfo == server
        with psycopg.connect(conninfo) as connection:
            shown = "DateStyle", "TimeZone", "client_encoding", "default_transaction_read_only"
            found = [connection.execute(f"SHOW {name}".encode()).fetchone() for name in shown]
            assert found == [("ISO, MDY",), ("UTC",), ("UTF8",), ("off",)]
            assert connection.info.user == connection.info.dbname == "postgres"
    # DATABASE_URL of another connection of this process may rely on them.
    assert all(os.environ[name] for name in names)
