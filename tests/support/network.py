"""A network between a client and its database: delayed, counted, and interrupted at random."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sentinel.storage import egress

NEEDS_TCP_INFO = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux counts the bytes of a connection"
)
CUT_WITHIN_BYTES = 12_000  # about what a run of some dozen coins sends and receives


@dataclass
class Wire:
    """The settings and counters of one network."""

    port: int
    # Share of the connections that are interrupted, drawn from `dice`.
    cut_share: float
    dice: random.Random
    # How often the client sent after the server had sent, plus one per connect.
    round_trips: int = 0
    # What the server sent.
    received_bytes: int = 0
    # Connections that were interrupted.
    cuts: int = 0
    server_spoke: bool = True
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, size_bytes: int, *, from_client: bool) -> None:
        """Count what the server sends, and a round trip if the client sends after the server."""
        with self.lock:
            self.received_bytes += 0 if from_client else size_bytes
            if from_client and self.server_spoke:
                self.round_trips += 1
            self.server_spoke = not from_client

    def bytes_until_cut(self) -> int | None:
        """Return after how many bytes a new connection is interrupted; None: never."""
        with self.lock:
            self.round_trips += 1  # TCP's own handshake
            if self.dice.random() >= self.cut_share:
                return None
            return self.dice.randrange(CUT_WITHIN_BYTES)


@dataclass
class _Connection:
    """Both ends of a connection, and how many bytes may still pass."""

    wire: Wire
    client: socket.socket
    server: socket.socket
    bytes_left: int | None
    directions: int = 2

    def leave(self) -> None:
        """End one direction; with the second one, both ends are closed."""
        with self.wire.lock:
            self.directions -= 1
            if not self.directions:
                self.client.close()
                self.server.close()

    def may_pass(self, count: int) -> bool:
        """Count bytes; False if the connection is interrupted by now."""
        with self.wire.lock:
            if self.bytes_left is None:
                return True
            was_whole = self.bytes_left >= 0
            self.bytes_left -= count
            if self.bytes_left < 0 and was_whole:
                self.wire.cuts += 1
            return self.bytes_left >= 0

    def break_off(self) -> None:
        """Reset both ends."""
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def between(
    server: str | tuple[str, int],
    one_way_seconds: float,
    *,
    cut_share: float = 0.0,
    dice: random.Random | None = None,
) -> Iterator[Wire]:
    """Listen on TCP and forward everything, with a delay, to a unix socket or a host and port."""
    listener = socket.create_server(("127.0.0.1", 0))
    wire = Wire(listener.getsockname()[1], cut_share, dice or random.Random(7))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                limit = wire.bytes_until_cut()
                far = socket.socket(socket.AF_UNIX if isinstance(server, str) else socket.AF_INET)
                far.connect(server)
                time.sleep(2 * one_way_seconds)
                connection = _Connection(wire, client, far, limit)
                _carry(connection, client, far, one_way_seconds, from_client=True)
                _carry(connection, far, client, one_way_seconds, from_client=False)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield wire
    finally:
        listener.close()


@contextlib.contextmanager
def as_neon(url: str) -> Iterator[str]:
    """Yield an address at which a local database has the host name of a Neon compute."""
    parts = conninfo_to_dict(url)
    egress._unrecorded.clear()  # of a test before, at the same host
    with between(f"{parts['host']}/.s.PGSQL.5432", 0.0) as wire:
        yield make_conninfo(
            host="ep-cool-darkness-123456.aws.neon.tech",
            hostaddr="127.0.0.1",
            port=wire.port,
            user="postgres",
            dbname=str(parts["dbname"]),
            sslmode="disable",
        )


def _carry(
    connection: _Connection,
    source: socket.socket,
    target: socket.socket,
    delay: float,
    *,
    from_client: bool,
) -> None:
    """Forward one direction in two threads: one reads, the other waits and sends."""
    queue: deque[tuple[float, bytes]] = deque()
    arrived = threading.Condition()

    def read() -> None:
        data = b"?"
        while data:
            try:
                data = source.recv(65_536)
            except OSError:
                data = b""
            if data:
                connection.wire.note(len(data), from_client=from_client)
            with arrived:
                queue.append((time.monotonic() + delay, data))
                arrived.notify()

    def send() -> None:
        data = b"?"
        while data:
            with arrived:
                arrived.wait_for(lambda: bool(queue))
                due, data = queue.popleft()
            time.sleep(max(0.0, due - time.monotonic()))
            with contextlib.suppress(OSError):
                if not data:
                    target.shutdown(socket.SHUT_WR)
                elif connection.may_pass(len(data)):
                    target.sendall(data)
                else:
                    connection.break_off()
        connection.leave()

    threading.Thread(target=read, daemon=True).start()
    threading.Thread(target=send, daemon=True).start()
