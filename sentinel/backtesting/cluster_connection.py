"""Connect to a Dask cluster in a limited time, and send it the code of this project."""

from __future__ import annotations

import asyncio
import logging
import queue
import re
import threading
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from safe_zone import ROOT
from sentinel.errors import ConfigurationError
from sentinel.leftovers import temporary_folder

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")
CONNECT_SECONDS = 15.0
_ADDRESS = re.compile(r"(tcp|tls)://[^\s/:]+:\d{1,5}")
# Without this, a worker that loads a newer bundle would keep the old submodules.
PACKAGE_INIT = """
import sys

for name in [name for name in sys.modules if name.startswith("sentinel.")]:
    del sys.modules[name]
"""


def call_within(seconds: float, function: Callable[[], T]) -> T:
    """Return what a function returns, and raise what it raises. Raises TimeoutError.

    Its thread is left behind then. It does not keep the process alive.
    """
    outcome: queue.SimpleQueue[tuple[T, None] | tuple[None, Exception]] = queue.SimpleQueue()

    def call() -> None:
        try:
            outcome.put((function(), None))
        except Exception as error:  # noqa: BLE001 - raised again below
            outcome.put((None, error))

    threading.Thread(target=call, daemon=True).start()
    try:
        value, error = outcome.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value]


def require_scheduler(scheduler: str, seconds: float = CONNECT_SECONDS) -> None:
    """Raise ConfigurationError unless a Dask scheduler of our version is at an address.

    Such as tcp://10.0.0.7:8786. This takes a moment, or `seconds`.
    """
    if not _ADDRESS.fullmatch(scheduler):
        raise ConfigurationError(
            f"--scheduler '{scheduler[:80]}' is not the address of a Dask scheduler, such as "
            "tcp://host:8786"
        )
    try:
        import distributed  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"--scheduler needs {error.name}: python -m pip install -r requirements/services.txt"
        ) from error
    _silence_logs()
    _require_same_version(scheduler, _find_scheduler_version(scheduler, seconds))


def connect(scheduler: str, seconds: float = CONNECT_SECONDS) -> Client:
    """Return a client of the cluster at an address.

    Each step has `seconds`. Raises ConfigurationError if there is no cluster, if it has no workers,
    or if it runs another version of distributed.
    """
    require_scheduler(scheduler, seconds)
    from distributed import Client

    try:
        client = call_within(
            seconds, lambda: Client(scheduler, timeout=seconds, set_as_default=False)
        )
    except Exception as error:  # distributed lets through what its parts raise
        raise _no_scheduler(scheduler, error) from error
    try:
        client.wait_for_workers(1, timeout=seconds)
        for version in _find_worker_versions(client, seconds):
            _require_same_version(scheduler, version)
    except TimeoutError as error:
        close(client)
        raise ConfigurationError(f"--scheduler {scheduler}: that cluster has no workers") from error
    except ConfigurationError:
        close(client)
        raise
    return client


def close(client: Client) -> None:
    """Close a client, whatever the state of its cluster."""
    try:
        call_within(5, lambda: client.close(timeout=4))
    except Exception:  # a cluster that is gone cannot answer
        logging.getLogger("sentinel.cluster").debug("closing failed", exc_info=True)


def _silence_logs() -> None:
    """Keep distributed's log lines and warnings from stderr: errors of a sweep are one line."""
    from distributed.versions import VersionMismatchWarning

    warnings.simplefilter("ignore", VersionMismatchWarning)
    for name in ("distributed", "tornado", "asyncio", *logging.root.manager.loggerDict):
        if name.split(".")[0] in {"distributed", "tornado", "asyncio"}:
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = [logging.NullHandler()], False


def _find_scheduler_version(scheduler: str, seconds: float) -> str:
    """Return the version of distributed that answers at an address. Raises ConfigurationError."""
    from distributed.core import rpc
    from distributed.security import Security

    async def ask() -> Mapping[str, Any]:
        arguments = Security().get_connection_args("client")
        async with rpc(scheduler, timeout=seconds, connection_args=arguments) as remote:
            return await remote.versions()  # type: ignore[no-any-return]

    async def ask_within() -> Mapping[str, Any]:
        return await asyncio.wait_for(ask(), seconds)

    try:
        # The outer limit is for what cannot be cancelled, such as the search for a host's address.
        found = call_within(seconds + 1, lambda: asyncio.run(ask_within()))
        return str(found["packages"]["distributed"])
    except Exception as error:  # a stranger's bytes raise whatever their decoding raises
        raise _no_scheduler(scheduler, error) from error


def _find_worker_versions(client: Client, seconds: float) -> list[str]:
    """Return the versions of the workers that answer in time."""
    try:
        found = call_within(seconds, client.get_versions)["workers"]
    except TimeoutError:  # one of them does not respond; the sweep goes on without it
        return []
    return sorted({str(one["packages"]["distributed"]) for one in found.values()})


def _require_same_version(scheduler: str, version: str) -> None:
    from distributed import __version__ as own

    if version != own:
        raise ConfigurationError(
            f"--scheduler {scheduler}: that cluster runs distributed {version}, this command {own}:"
            f" install the same version on its machines (python -m pip install distributed=={own})"
        )


def _no_scheduler(scheduler: str, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"--scheduler {scheduler}: no Dask scheduler responds there ({type(error).__name__})"
    )


def upload_modules(client: Client, seconds: float = CONNECT_SECONDS) -> None:
    """Upload the code to the workers; Dask also sends it to workers that join later.

    A worker that does not respond gets it when it does; this does not wait for it.
    """
    with temporary_folder() as folder:
        path = folder / "market_sentinel_sweep.zip"
        write_bundle(path)
        try:
            call_within(seconds, lambda: client.upload_file(str(path)))
        except TimeoutError:
            logging.getLogger("sentinel.cluster").debug("a worker did not confirm the code")


def write_bundle(file: Path) -> None:
    """Write a zip file with the package `sentinel`, which a worker may not have."""
    with zipfile.ZipFile(file, "w") as bundle:
        for path in (ROOT / "sentinel").rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            own = PACKAGE_INIT if name == "sentinel/__init__.py" else path.read_bytes()
            bundle.writestr(name, own)
