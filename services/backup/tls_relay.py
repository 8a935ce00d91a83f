"""Relay connections of PostgreSQL's client programs to a server that requires TLS.

The programs of the embedded PostgreSQL are built without TLS. They connect to a Unix socket in a
private folder. The relay forwards each connection over TLS, started as libpq starts it, under the
`sslmode` of the address.

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
# Codes in authentication messages: the methods on offer, and success.
SASL, AUTHENTICATED = struct.pack("!i", 10), struct.pack("!i", 0)
BLOCK_BYTES = 1 << 16
CONNECT_SECONDS = 10.0
TLS_REQUIRED_MODES = frozenset({"require", "verify-ca", "verify-full"})
TLS_PARAMETERS = ("channel_binding", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl")


@contextlib.contextmanager
def relay_tls(address: Address) -> Iterator[Address]:
    """Yield an address of the same server for programs without TLS.

    Raises BackupFailed if the address has several hosts or an unusable certificate.
    """
    parts = conninfo_to_dict(address.conninfo)
    host = str(parts.get("hostaddr") or parts.get("host") or "")
    # The defaults of libpq.
    default = "verify-full" if parts.get("sslrootcert") == "system" else "prefer"
    mode = str(parts.get("sslmode") or default)
    if mode in ("disable", "allow") or not host or host.startswith("/"):
        yield address
        return
    if "," in host:
        raise BackupFailed(
            f"{address.display_name}: a backup needs one host: DATABASE_URL names several."
        )
    with tempfile.TemporaryDirectory(prefix="sentinel-tls-") as folder:
        relay = _TlsRelay(parts, mode, Path(folder))
        with relay.listen():
            plain = {key: value for key, value in parts.items() if key not in TLS_PARAMETERS}
            plain |= {"host": folder, "port": "5432", "sslmode": "disable", "hostaddr": None}
            given = {key: value for key, value in plain.items() if value is not None}
            yield Address(make_conninfo("", **given), address.display_name)


class _TlsRelay:
    """Listens on a socket in a folder and forwards each connection over TLS."""

    def __init__(self, parts: Mapping[str, Any], mode: str, folder: Path) -> None:
        self._target = (str(parts.get("hostaddr") or parts["host"]), int(parts.get("port") or 5432))
        self._name = str(parts.get("host") or self._target[0])
        self._is_required = mode in TLS_REQUIRED_MODES
        self._context = _context(parts, mode)
        self._path = folder / ".s.PGSQL.5432"

    @contextlib.contextmanager
    def listen(self) -> Iterator[None]:
        """Accept connections until the end of the block."""
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
                return  # the listener was closed
            threading.Thread(target=self._forward, args=(inside,), daemon=True).start()

    def _forward(self, inside: socket.socket) -> None:
        with inside:
            try:
                connected = self._connect()
            except (OSError, ssl.SSLError) as error:
                inside.sendall(_error_message(f"TLS to {self._name}: {error}"))
                return
            with connected:
                outside = _SharedSocket(connected)
                back = threading.Thread(
                    target=_forward_authentication, args=(outside, inside), daemon=True
                )
                back.start()
                _copy_bytes(inside, outside)
                back.join(CONNECT_SECONDS)  # a killed program sends no end message

    def _connect(self) -> socket.socket:
        outside = socket.create_connection(self._target, timeout=CONNECT_SECONDS)
        outside.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        outside.sendall(SSL_REQUEST)
        if outside.recv(1) == b"S":
            outside = self._context.wrap_socket(outside, server_hostname=self._name)
        elif self._is_required:
            outside.close()
            raise OSError("the server does not offer it, and sslmode requires it")
        return outside


def _context(parts: Mapping[str, Any], mode: str) -> ssl.SSLContext:
    """Return the checks of libpq: none under `require`, unless a root certificate is named."""
    root = parts.get("sslrootcert")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts no certificate yet
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
            f"A certificate that DATABASE_URL names cannot be used: {error}."
        ) from error
    return context


class _SharedSocket:
    """A socket that one thread reads while another writes.

    OpenSSL allows one call at a time. Neither thread may therefore wait inside a call.
    """

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self._socket = connected
        self._lock = threading.Lock()

    def recv(self, count: int) -> bytes:
        """Wait for bytes; return none after the other side has closed."""
        while True:
            with self._waiting(for_writing=False), self._lock:
                return self._socket.recv(count)

    def sendall(self, content: bytes) -> None:
        """Send all bytes."""
        left = memoryview(content)
        while left:
            with self._waiting(for_writing=True), self._lock:
                left = left[self._socket.send(left) :]

    @contextlib.contextmanager
    def _waiting(self, *, for_writing: bool) -> Iterator[None]:
        """After a call that would block, wait until the socket is ready."""
        try:
            yield
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError) as error:
            is_write = isinstance(error, ssl.SSLWantWriteError) or (
                for_writing and isinstance(error, BlockingIOError)
            )
            ready = [self._socket]
            select.select([] if is_write else ready, ready if is_write else [], [])


def _copy_bytes(
    source: socket.socket | _SharedSocket, target: socket.socket | _SharedSocket
) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):
        while block := source.recv(BLOCK_BYTES):
            target.sendall(block)
    if isinstance(target, socket.socket):  # the server ends when its client has left
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def _forward_authentication(outside: socket.socket | _SharedSocket, inside: socket.socket) -> None:
    """Forward the server's messages; remove its offer of channel binding during authentication.

    A client without TLS refuses the connection when it sees that offer.

    https://www.postgresql.org/docs/current/sasl-authentication.html
    """
    with contextlib.suppress(OSError, ssl.SSLError):
        is_authenticated = False
        while not is_authenticated:
            head = _receive_exactly(outside, 5)
            body = _receive_exactly(outside, struct.unpack("!i", head[1:])[0] - 4)
            if head[:1] == b"R" and body[:4] == SASL:
                body = body.replace(b"SCRAM-SHA-256-PLUS\0", b"")
                head = b"R" + struct.pack("!i", len(body) + 4)
            inside.sendall(head + body)
            is_authenticated = head[:1] != b"R" or body[:4] == AUTHENTICATED
    _copy_bytes(outside, inside)


def _receive_exactly(source: socket.socket | _SharedSocket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        block = source.recv(count - len(found))
        if not block:
            raise OSError("the server closed the connection")
        found += block
    return found


def _error_message(text: str) -> bytes:
    """Return an error message of the PostgreSQL protocol, which libpq prints.

    https://www.postgresql.org/docs/current/protocol-error-fields.html
    """
    fields = b"SFATAL\0C08006\0M" + text.encode()[:300] + b"\0\0"
    return b"E" + struct.pack("!i", len(fields) + 4) + fields
