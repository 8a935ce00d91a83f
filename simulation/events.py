"""The random events of a simulation: what happens to a run, and what lasts for hours."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from demo.server import Fault
from simulation.market import CoinFault

# The probability that an event happens to a run. It begins at any of the run's operations.
AT_AN_OPERATION = {
    "kill": 0.05,
    "second run": 0.06,
    "connection lost": 0.05,
    "disk full": 0.03,
}
# The probability that a state begins before a run, and the shortest and longest duration in hours.
LASTING = {
    "database away": (0.012, 0.2, 12.0),
    "API away": (0.012, 0.2, 8.0),
    "archive away": (0.008, 1.0, 50.0),
    "clock wrong": (0.012, 0.1, 8.0),
    "schedule silent": (0.008, 2.0, 30.0),
}
API_FAULT = 0.08
COIN_FAULT = 0.05
KILL_OF_SECOND = 0.3
REGISTRY_RACE = 0.015  # after a run
COIN_FAULT_HOURS = (0.2, 90.0)
COIN_FAULTS: tuple[CoinFault, ...] = ("missing", "null", "negative", "empty")
LARGEST_CLOCK_ERROR = timedelta(days=400)

_HTML = b"<html><head><title>503 Service Unavailable</title></head></html>"
_LIMIT = b'{"status": {"error_code": 429, "error_message": "You\'ve exceeded the Rate Limit."}}'
FAULTS: tuple[Callable[[random.Random], Fault], ...] = (
    lambda _: Fault(500, b'{"error": "internal"}'),
    lambda _: Fault(503, _HTML),
    lambda rng: Fault(429, _LIMIT, {"Retry-After": str(rng.randint(1, 60))}),
    lambda _: Fault(429, _LIMIT),
    lambda _: Fault(200, _HTML),
    lambda _: Fault(200, b"{}"),
    lambda _: Fault(200, b"[]"),
    lambda rng: Fault(200, rewrite=lambda body: body, cut=rng.randint(0, 400)),
    lambda _: Fault(401, b'{"status": {"error_code": 10002, "error_message": "API key"}}'),
)
OUTAGE = Fault(503, _HTML)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens to a run."""

    name: str
    # Where in the run: 0.0 is its first operation, 1.0 the last one of the run before.
    place: float


def draw_events(rng: random.Random) -> list[Event]:
    """Return what happens to the next run, in the order of its operations."""
    chosen = [name for name, chance in AT_AN_OPERATION.items() if rng.random() < chance]
    return sorted((Event(name, rng.random()) for name in chosen), key=lambda event: event.place)


def draw_beginnings(rng: random.Random) -> list[tuple[str, timedelta]]:
    """Return the states that begin now, and how long they last."""
    return [
        (name, timedelta(hours=_skewed(rng, low, high)))
        for name, (chance, low, high) in LASTING.items()
        if rng.random() < chance
    ]


def draw_faults(rng: random.Random) -> list[Fault]:
    """Return the next faulty responses of the API, mostly none."""
    count = rng.choice((1, 1, 2, 3, 9)) if rng.random() < API_FAULT else 0
    return [rng.choice(FAULTS)(rng) for _ in range(count)]


def draw_second(rng: random.Random) -> list[Event]:
    """Return what happens to a second run that starts during the first."""
    return [Event("kill", rng.random())] if rng.random() < KILL_OF_SECOND else []


def draw_coin_fault(rng: random.Random) -> tuple[CoinFault, timedelta] | None:
    """Return what is wrong with a coin from now on, and how long; mostly nothing."""
    if rng.random() >= COIN_FAULT:
        return None
    return rng.choice(COIN_FAULTS), timedelta(hours=_skewed(rng, *COIN_FAULT_HOURS))


def draw_clock_error(rng: random.Random) -> timedelta:
    """Return an error of the machine's clock, from minutes to a year, either way."""
    error = LARGEST_CLOCK_ERROR * 10 ** rng.uniform(-4.0, 0.0)
    return error if rng.random() < 0.5 else -error


def _skewed(rng: random.Random, low: float, high: float) -> float:
    """Return a number between the two. Small ones are as likely as large ones."""
    return low * math.exp(rng.random() * math.log(high / low))
