"""Which workers of a Dask cluster respond, by the heartbeats that its scheduler receives.

A worker that was stopped, or whose machine lost its network, keeps its connection for minutes. Only
its heartbeats end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Client

CALL_SECONDS = 5.0  # for a question to the scheduler


class ClusterWorkers:
    """The workers of a cluster, as of the last `refresh`."""

    def __init__(
        self,
        client: Client,
        silent_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._silent_seconds, self._clock = client, silent_seconds, clock
        # By address: threads, last heartbeat (scheduler's clock), when that changed (our clock).
        self._known: dict[str, tuple[int, float, float]] = {}
        # When a worker was last found to have sent a heartbeat (our clock).
        self.last_heartbeat = clock()

    def refresh(self) -> None:
        """Ask the scheduler about its workers. Without a response everything stays as it was."""
        if found := self._ask(self._client.scheduler.identity, n_workers=-1):
            now, before = self._clock(), self._known
            self._known = {}
            for address, worker in found["workers"].items():
                _, seen, changed_at = before.get(address, (0, None, now))
                if worker["last_seen"] != seen:
                    changed_at = self.last_heartbeat = now
                self._known[address] = (worker["nthreads"], worker["last_seen"], changed_at)

    def __len__(self) -> int:
        return len(self._known)

    @property
    def responding(self) -> Mapping[str, int]:
        """The threads of each worker that sent a heartbeat lately, by address."""
        newest = self._clock() - self._silent_seconds
        return {
            address: threads
            for address, (threads, _, changed_at) in self._known.items()
            if changed_at > newest
        }

    def find_holders(self) -> Mapping[str, Collection[str]] | None:
        """Return the workers that have or run each task, by the task's key; None: no response."""
        found = self._ask(self._client.scheduler.processing, workers=None)
        if found is None:
            return None
        holders: dict[str, set[str]] = {}
        for address, keys in found.items():
            for key in keys:
                holders.setdefault(key, set()).add(address)
        return holders

    def _ask(self, question: Callable[..., Any], **arguments: Any) -> Any:
        try:
            return self._client.sync(question, **arguments, callback_timeout=CALL_SECONDS)
        except (OSError, TimeoutError):
            return None
