"""A network between a client and its database: late, counted, and cut at random where asked for."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

CUT_WITHIN_BYTES = 12_000  # about what a run of some dozen coins sends and receives


@dataclass
class Wire:
    """`round_trips` counts how often the client spoke after the server had, and each connect;
    `cuts` the connections that were broken. `cut_share` of them are, drawn from `dice`."""

    port: int
    cut_share: float = 0.0
    dice: random.Random = field(default_factory=lambda: random.Random(7))
    round_trips: int = 0
    cuts: int = 0
    server_spoke: bool = True
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, *, from_client: bool) -> None:
        """Somebody spoke."""
        with self.lock:
            if from_client and self.server_spoke:
                self.round_trips += 1
            self.server_spoke = not from_client

    def bytes_until_cut(self) -> int | None:
        """After how many bytes a new connection breaks, None if never."""
        with self.lock:
            self.round_trips += 1  # TCP's own handshake
            if self.dice.random() >= self.cut_share:
                return None
            return self.dice.randrange(CUT_WITHIN_BYTES)


@dataclass
class _Connection:
    """Both ends, and how many bytes may still pass."""

    wire: Wire
    client: socket.socket
    server: socket.socket
    bytes_left: int | None
    directions: int = 2

    def leave(self) -> None:
        """One direction is done; with the second both ends are closed."""
        with self.wire.lock:
            self.directions -= 1
            if not self.directions:
                self.client.close()
                self.server.close()

    def may_pass(self, count: int) -> bool:
        """Count bytes; False where the connection breaks under them."""
        with self.wire.lock:
            if self.bytes_left is None:
                return True
            was_whole = self.bytes_left >= 0
            self.bytes_left -= count
            if self.bytes_left < 0 and was_whole:
                self.wire.cuts += 1
            return self.bytes_left >= 0

    def break_off(self) -> None:
        """End both sides without a goodbye."""
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def between(
    server: str | tuple[str, int], one_way_seconds: float, *, cut_share: float = 0.0
) -> Iterator[Wire]:
    """Listen on TCP and carry everything to a server (a unix socket or host and port), so much
    later."""
    listener = socket.create_server(("127.0.0.1", 0))
    wire = Wire(listener.getsockname()[1], cut_share)

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


def _carry(
    connection: _Connection,
    source: socket.socket,
    target: socket.socket,
    delay: float,
    *,
    from_client: bool,
) -> None:
    """Two threads a direction: one reads and stamps, one waits and sends, so data may overlap."""
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
                connection.wire.note(from_client=from_client)
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
