"""A TCP proxy on loopback that delays both directions and counts round trips."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Wire:
    """`round_trips` counts how often the client spoke after the server had, and each connect."""

    port: int
    round_trips: int = 0
    server_spoke: bool = True
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, *, from_client: bool) -> None:
        with self.lock:
            if from_client and self.server_spoke:
                self.round_trips += 1
            self.server_spoke = not from_client


@contextlib.contextmanager
def between(server_socket: str, one_way_seconds: float) -> Iterator[Wire]:
    """Listen on TCP and carry everything to a server's unix socket, so much later."""
    listener = socket.create_server(("127.0.0.1", 0))
    wire = Wire(listener.getsockname()[1])

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                with wire.lock:
                    wire.round_trips += 1  # TCP's own handshake
                server = socket.socket(socket.AF_UNIX)
                server.connect(server_socket)
                time.sleep(2 * one_way_seconds)
                for source, target, is_client in ((client, server, True), (server, client, False)):
                    _carry(wire, source, target, one_way_seconds, from_client=is_client)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield wire
    finally:
        listener.close()


def _carry(
    wire: Wire, source: socket.socket, target: socket.socket, delay: float, *, from_client: bool
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
                wire.note(from_client=from_client)
            with arrived:
                queue.append((time.monotonic() + delay, data))
                arrived.notify()

    def send() -> None:
        while True:
            with arrived:
                arrived.wait_for(lambda: bool(queue))
                due, data = queue.popleft()
            time.sleep(max(0.0, due - time.monotonic()))
            with contextlib.suppress(OSError):
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)

    threading.Thread(target=read, daemon=True).start()
    threading.Thread(target=send, daemon=True).start()
