"""Which users of this machine may use the dashboard, and an API without a token.

Every user can connect to 127.0.0.1. On Linux the kernel says which user a connection of this
machine comes from, so the servers let in who started them, root, and SENTINEL_LOCAL_USERS. A server
that listens on other addresses too, as in a container, cannot tell: a proxy may stand in between.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from http import HTTPStatus
from pathlib import Path

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.web_access import POLICY_VIOLATION
from services.web_server import CONNECTION

if sys.platform != "win32":
    import pwd

# https://docs.kernel.org/networking/proc_net_tcp.html
TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
ESTABLISHED = "01"
USER_COLUMN = 7

Address = tuple[str, int]


def find_user_id(client: Address, server: Address) -> int | None:
    """Return the user whose process opened a connection of this machine; None if unknown.

    A socket that its process has closed already counts as unknown: the kernel lists root for it.
    """
    rows = [
        f" {_encode(client, is_mapped)} {_encode(server, is_mapped)} {ESTABLISHED} "
        for is_mapped in (False, True)
    ]
    with contextlib.suppress(OSError):
        for table in TABLES:
            for line in table.read_text(encoding="ascii").splitlines():
                if any(row in line for row in rows):
                    return int(line.split()[USER_COLUMN])
    return None


def _encode(address: Address, is_mapped: bool) -> str:
    """Return an address as the kernel prints it: words in the machine's byte order."""
    ip = ipaddress.ip_address(address[0])
    packed = ip.packed
    if is_mapped and ip.version == 4:  # a client with an IPv6 socket
        packed = ipaddress.ip_address(f"::ffff:{ip}").packed
    words = (packed[i : i + 4] for i in range(0, len(packed), 4))
    encoded = "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)
    return f"{encoded}:{address[1]:04X}"


class LocalUserMiddleware:
    """Refuse requests of other users of this machine.

    `users` are the ids of those who may send requests. `refuse` makes the response of a status and
    a sentence.
    """

    def __init__(
        self, app: ASGIApp, users: Collection[int], refuse: Callable[[int, str], Response]
    ) -> None:
        self._app = app
        self._users = users
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or respond with 403."""
        if scope["type"] == "lifespan" or (user_id := _find_user_once(scope)) in self._users:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        else:
            reason = (
                f"This server belongs to {describe_user(os.geteuid())}. SENTINEL_LOCAL_USERS can "
                f"let in {describe_user(user_id)}, who sent this request."
            )
            await self._refuse(HTTPStatus.FORBIDDEN, reason)(scope, receive, send)


def _find_user_once(scope: Scope) -> int | None:
    """Return the user of a request. The connection remembers it (`web_server.py`)."""
    connection: dict[str, int | None] = scope["state"][CONNECTION]
    if "user_id" not in connection:
        connection["user_id"] = find_user_id(scope["client"], scope["server"])
    return connection["user_id"]


def list_allowed_users(listener: socket.socket, names: Iterable[str]) -> frozenset[int] | None:
    """Return the ids of the users who may use a server; None: they cannot be distinguished.

    `names` are those of SENTINEL_LOCAL_USERS.
    """
    host, port = listener.getsockname()[:2]
    if not ipaddress.ip_address(host).is_loopback:
        return None
    with socket.create_connection((host, port)) as probe:
        own_id = find_user_id(probe.getsockname()[:2], probe.getpeername()[:2])
    if own_id is None:
        return None
    return frozenset({0, own_id, *_sudo_user(), *(pwd.getpwnam(name).pw_uid for name in names)})


def _sudo_user() -> Iterator[int]:
    """Yield the user who started this process with sudo."""
    if os.geteuid() == 0 and os.environ.get("SUDO_UID", "").isdecimal():
        yield int(os.environ["SUDO_UID"])


def describe_user(user_id: int | None) -> str:
    """Return a user's name, or the id of a user without one."""
    if user_id is None:
        return "an unknown user"
    try:
        return f"the user {pwd.getpwuid(user_id).pw_name}"
    except KeyError:
        return f"the user {user_id}"
