"""TLS in front of a PostgreSQL: for a server that requires it, and for a man in the middle."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

# https://www.postgresql.org/docs/current/protocol-message-formats.html
JOIN_SECONDS = 10.0  # a client that has left ends its thread at once
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
SASL = struct.pack("!i", 10)

Serve = Callable[[ssl.SSLSocket], None]


class Certificate(NamedTuple):
    """A self-signed certificate of 127.0.0.1, and its key."""

    certificate: Path
    key: Path


def make_certificate(folder: Path, name: str) -> Certificate:
    """Make one with openssl; skip the test without that program."""
    made = Certificate(folder / f"{name}.crt", folder / f"{name}.key")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    paths = ["-out", str(made.certificate), "-keyout", str(made.key)]
    try:
        subprocess.run([*command, "-nodes", "-days", "2", *names, *paths], check=True, stderr=-3)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("making a certificate needs openssl")
    return made


@contextlib.contextmanager
def listening(certificate: Certificate, serve: Serve) -> Iterator[int]:
    """Accept TLS connections as PostgreSQL does, and serve each in a thread; yield the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def begin_tls(raw: socket.socket) -> None:
        with contextlib.suppress(OSError), raw:
            if raw.recv(8) != SSL_REQUEST:
                return
            raw.sendall(b"S")
            with context.wrap_socket(raw, server_side=True) as client:
                serve(client)

    serving: list[threading.Thread] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                raw, _ = listener.accept()
                serving.append(threading.Thread(target=begin_tls, args=(raw,), daemon=True))
                serving[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for each in serving:
            each.join(JOIN_SECONDS)


def forwarding_to(
    connect: Callable[[], socket.socket], replace: tuple[bytes, bytes] = (b"", b"")
) -> Serve:
    """Forward both ways; in what the server sends first, replace some bytes by others."""

    def serve(client: ssl.SSLSocket) -> None:
        with connect() as server:
            is_first = True
            while True:
                for source in _readable(client, server):
                    content = source.recv(1 << 16)
                    if not content:
                        return
                    if source is server and is_first:
                        content, is_first = content.replace(*replace), False
                    (server if source is client else client).sendall(content)

    return serve


def _readable(*ends: socket.socket) -> list[socket.socket]:
    decrypted: list[socket.socket] = [
        end for end in ends if isinstance(end, ssl.SSLSocket) and end.pending()
    ]
    return decrypted or select.select(ends, [], [])[0]


def connect_with_tls(port: int) -> socket.socket:
    """Connect to a PostgreSQL on 127.0.0.1 over TLS, without looking at its certificate."""
    raw = socket.create_connection(("127.0.0.1", port))
    raw.sendall(SSL_REQUEST)
    assert raw.recv(1) == b"S"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    # Version 1.3 sends tickets after the handshake: a socket with one is readable, and recv waits.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context.wrap_socket(raw)


def offer_scram_without_binding(heard: list[bytes]) -> Serve:
    """Ask for a password as an attacker without the server's certificate does.

    `heard` gets the type of the client's reply, which is empty if the client has left.
    """
    methods = SASL + b"SCRAM-SHA-256\0\0"

    def serve(client: ssl.SSLSocket) -> None:
        client.recv(1 << 16)  # the client's name and database
        client.sendall(b"R" + struct.pack("!i", 4 + len(methods)) + methods)
        heard.append(client.recv(1))

    return serve
