"""Over which connections backups and restores go: TLS, attackers, and servers of other versions."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from sentinel.errors import StorageUnavailable
from sentinel.storage import embedded_root
from sentinel.storage.connection import parse_address
from sentinel.storage.embedded_server import EmbeddedServer
from services.backup import manifest
from services.backup.create import make_verified_backup
from services.backup.manifest import BackupFailed
from services.backup.verification import restore_dump
from tests.conftest import NOW, FreshDatabase
from tests.services.backup.conftest import PRICES, read_days
from tests.support.monitor import load
from tests.support.tls import (
    Certificate,
    connect_with_tls,
    forwarding_to,
    listening,
    make_certificate,
    offer_scram_without_binding,
)

DOUBLE_PRICES = "UPDATE sentinel.observations SET price_usd = price_usd * 2"
NOTHING = (b"", b"")
# A method that no client knows takes the place of the one with channel binding.
OFFER = (b"SCRAM-SHA-256-PLUS", b"SCRAM-SHA-256-NONE")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """The server's certificate."""
    return make_certificate(tmp_path_factory.mktemp("tls"), "server")


@pytest.fixture(scope="module")
def attacker_certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate of an attacker, with the same name in it."""
    return make_certificate(tmp_path_factory.mktemp("tls"), "attacker")


@pytest.fixture
def tls_url(filled: FreshDatabase, certificate: Certificate) -> Iterator[str]:
    """The address of `filled` on a port that accepts only TLS."""
    parts = conninfo_to_dict(filled.url)

    def connect() -> socket.socket:
        inner = socket.socket(socket.AF_UNIX)
        inner.connect(f"{parts['host']}/.s.PGSQL.{parts['port']}")
        return inner

    with listening(certificate, forwarding_to(connect)) as port:
        yield f"postgresql://postgres@127.0.0.1:{port}/{parts['dbname']}"


@pytest.mark.slow
@pytest.mark.parametrize("query", ["sslmode=require", "sslmode=verify-full&sslrootcert={}"])
def test_a_database_that_requires_tls_is_backed_up_and_restored_over_tls(
    tls_url: str,
    filled: FreshDatabase,
    server_dir: Path,
    tmp_path: Path,
    certificate: Certificate,
    query: str,
) -> None:
    address = parse_address(f"{tls_url}?{query.format(certificate.certificate)}")
    before = read_days(filled)
    backup = make_verified_backup(address, tmp_path, server_dir, NOW)
    filled.query(DOUBLE_PRICES)
    restore_dump(backup.path, backup.manifest.contents, address)
    assert read_days(filled) == before


def test_without_tls_that_database_is_not_reached(
    tls_url: str, server_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(StorageUnavailable):
        make_verified_backup(parse_address(f"{tls_url}?sslmode=disable"), tmp_path, server_dir, NOW)


@pytest.mark.parametrize("is_by_environment", [False, True])
def test_a_certificate_of_another_authority_is_refused_by_backup_and_restore(
    tls_url: str,
    filled: FreshDatabase,
    backup: Path,
    server_dir: Path,
    attacker_certificate: Certificate,
    monkeypatch: pytest.MonkeyPatch,
    is_by_environment: bool,
) -> None:
    """libpq reads its settings from the address and from the environment."""
    root = attacker_certificate.certificate
    if is_by_environment:
        monkeypatch.setenv("PGSSLMODE", "verify-full")
        monkeypatch.setenv("PGSSLROOTCERT", str(root))
        address = parse_address(tls_url)
    else:
        address = parse_address(f"{tls_url}?sslmode=verify-full&sslrootcert={root}")
    filled.query(DOUBLE_PRICES)
    before = read_days(filled)
    with pytest.raises(StorageUnavailable, match="certificate verify failed"):
        make_verified_backup(address, backup.parent, server_dir, NOW)
    with pytest.raises(BackupFailed, match="certificate verify failed"):
        restore_dump(backup, manifest.read_manifest(backup).contents, address)
    assert read_days(filled) == before


@pytest.mark.parametrize(
    ("binding", "reply"), [("require", b""), ("prefer", b"p")], ids=["require", "prefer"]
)
def test_channel_binding_refuses_a_man_in_the_middle(
    attacker_certificate: Certificate,
    backup: Path,
    server_dir: Path,
    binding: str,
    reply: bytes,
) -> None:
    """An attacker has to hide that the server offers it. Neon's addresses require it.

    Without it (`prefer`, the default), sslmode=require checks nothing: libpq would log in.
    """
    heard: list[bytes] = []
    with listening(attacker_certificate, offer_scram_without_binding(heard)) as port:
        url = f"postgresql://me:hunter2@127.0.0.1:{port}/x"
        address = parse_address(f"{url}?sslmode=require&channel_binding={binding}")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(address.conninfo)
        with pytest.raises(StorageUnavailable) as refused:
            make_verified_backup(address, backup.parent, server_dir, NOW)
        with pytest.raises(BackupFailed):
            restore_dump(backup, manifest.read_manifest(backup).contents, address)
    assert heard == [reply] * 3
    assert ("channel binding" in str(refused.value)) == (binding == "require")
    assert "hunter2" not in str(refused.value)


# --- other versions of PostgreSQL ------------------------------------------------------------

PROGRAMS = Path("/usr/lib/postgresql")  # where Debian and Ubuntu install each version
PASSWORD = "hunter2"


class OtherServer(NamedTuple):
    """A PostgreSQL with TLS and SCRAM."""

    port: int
    certificate: Certificate

    def url(self, port: int | None = None, options: str = "sslmode=require") -> str:
        """An address of its database, on another port if one is given."""
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port or self.port}/postgres?{options}"


@pytest.fixture(params=[15, 16, 17, 18])
def other_server(
    request: pytest.FixtureRequest, server_dir: Path, certificate: Certificate
) -> Iterator[OtherServer]:
    """A server of that version, if its programs are installed."""
    bin_dir = PROGRAMS / str(request.param) / "bin"
    if not (bin_dir / "initdb").exists():
        pytest.skip(f"PostgreSQL {request.param} is not installed in {bin_dir}")
    base = server_dir / f"postgres-{request.param}"
    base.mkdir()
    owner = embedded_root.choose_owner(base) if os.geteuid() == 0 else None
    server = EmbeddedServer(bin_dir, base, owner)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    _set_up(server, port, certificate)
    started = server.run("pg_ctl", "start", "-w", "-D", server.data_dir, "-l", server.log_file)
    assert started.returncode == 0, started.stdout
    try:
        yield OtherServer(port, certificate)
    finally:
        server.run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", server.data_dir)


def _set_up(server: EmbeddedServer, port: int, certificate: Certificate) -> None:
    password = server.base / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    made = server.run(
        *("initdb", "-D", server.data_dir, "-U", "postgres", "--auth=scram-sha-256", "-N"),
        *(f"--pwfile={password}", "--encoding=UTF8", "--locale=C"),
    )
    assert made.returncode == 0, made.stdout
    for source, name in zip(certificate, ("server.crt", "server.key"), strict=True):
        copy = server.data_dir / name
        copy.write_bytes(source.read_bytes())
        copy.chmod(0o600)
        if server.owner:
            os.chown(copy, server.owner.uid, server.owner.gid)
    with (server.data_dir / "postgresql.conf").open("a") as configuration:
        configuration.write(
            f"port={port}\nlisten_addresses='127.0.0.1'\nunix_socket_directories=''\n"
            "ssl=on\nfsync=off\n"
        )


@pytest.mark.slow
def test_other_versions_with_tls_and_scram_are_backed_up_and_no_man_in_the_middle_reads_them(
    other_server: OtherServer,
    filled: FreshDatabase,
    server_dir: Path,
    tmp_path: Path,
    attacker_certificate: Certificate,
) -> None:
    other = FreshDatabase(other_server.url())
    load(other.address(), PRICES, NOW)
    before = read_days(other)
    root = other_server.certificate.certificate
    strict = f"sslmode=verify-full&sslrootcert={root}&channel_binding=require"
    address = parse_address(other_server.url(options=strict))
    backup = make_verified_backup(address, tmp_path, server_dir, NOW)
    restore_dump(backup.path, backup.manifest.contents, filled.address())  # into version 18
    assert read_days(filled) == before
    back = make_verified_backup(filled.address(), tmp_path, server_dir, NOW)
    other.query(DOUBLE_PRICES)
    restore_dump(back.path, back.manifest.contents, address)
    assert read_days(other) == before
    other.close()
    _refuse_attackers(other_server, server_dir, tmp_path, attacker_certificate)


def _refuse_attackers(
    server: OtherServer, server_dir: Path, folder: Path, certificate: Certificate
) -> None:
    """One attacker forwards the offer of channel binding, the other hides it."""
    root = server.certificate.certificate
    for replaced, options, refusal in (
        (NOTHING, "sslmode=require&channel_binding=require", "channel binding check failed"),
        (OFFER, "sslmode=require&channel_binding=require", "channel binding is required"),
        (OFFER, f"sslmode=verify-full&sslrootcert={root}", "certificate verify failed"),
        (OFFER, "sslmode=require&channel_binding=disable", ""),  # as little as psycopg checks
    ):
        attack = forwarding_to(lambda: connect_with_tls(server.port), replaced)
        with listening(certificate, attack) as port, contextlib.ExitStack() as stack:
            if refusal:
                stack.enter_context(pytest.raises(StorageUnavailable, match=refusal))
            address = parse_address(server.url(port, options))
            make_verified_backup(address, folder, server_dir, NOW)
