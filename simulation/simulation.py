"""One simulation: the runs of a schedule with random events, and the checks after each run."""

from __future__ import annotations

import contextlib
import gc
import random
import secrets
import traceback
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from unittest import mock

import psycopg

import budget_monitor
from demo.schedule import delivered_runs
from ingest import run_pipeline
from sentinel.archive import export
from sentinel.errors import Interrupted
from sentinel.process import defer_signals
from sentinel.storage import partitions, retention, transactions
from simulation import events, faults, input_output, registry_race
from simulation.events import Event
from simulation.footprint import measure_footprint
from simulation.input_output import Killed, Watch
from simulation.outcome import BrokenPromise, Outcome
from simulation.promises import Promises
from simulation.world import START, World, make_world

LOCK_SECONDS = 0.05  # a second run waits for the first one, which cannot go on meanwhile
CREDIT_QUOTAS = (900.0, 1_300.0, 10_000.0)  # the lower ones do not last the month
TRACE = 25  # events that are shown when a promise is broken


@dataclass(frozen=True, slots=True)
class Result:
    """What one simulation showed."""

    seed: int
    days: float
    runs: int
    # How often all promises were checked.
    checks: int
    # How many events there were of each kind.
    events: dict[str, int]
    # When and how a promise was broken; None: all were kept.
    problem: str | None
    # The last events before that.
    trace: list[str]
    # Of all that was stored: the same seed always gives the same.
    digest: str
    # What the runs left behind after half of the days, and in the end.
    footprints: list[dict[str, int]]


class Simulation:
    """A machine whose runs meet faults."""

    def __init__(self, world: World, rng: random.Random, promises: Promises) -> None:
        self.world = world
        self.runs = 0
        self.events: Counter[str] = Counter()
        # Every event with its time.
        self.trace: list[str] = []
        self._promises = promises
        self._rng = rng
        # When each state that lasts ends.
        self._until: dict[str, datetime] = {}
        # Of the last run that was not killed.
        self._operations = 60

    def find_problem(
        self, schedule: Iterable[datetime], *, should_recover: bool = False
    ) -> str | None:
        """Let these runs happen; return when and how a promise was broken, None if none was."""
        try:
            for at in schedule:
                with defer_signals():  # what the product makes of a Ctrl-C is no finding
                    self._step(at)
            if should_recover:
                with defer_signals():
                    self._recover()
        except Interrupted:
            raise
        except BrokenPromise as error:
            return f"{self.world.clock.at:%Y-%m-%d %H:%M:%S}: {error}"
        except Exception:  # noqa: BLE001 (whatever the product raises is a finding)
            return f"{self.world.clock.at:%Y-%m-%d %H:%M:%S}: {traceback.format_exc()}"
        return None

    def _step(self, at: datetime) -> None:
        """Let the run of this time happen, with what happens to it, and check the promises."""
        self.world.clock.at = max(self.world.clock.at + timedelta(seconds=1), at)
        self._begin_states()
        if not self._lasts("schedule silent"):
            self._draw_faults()
            self._run_and_check(events.draw_events(self._rng))
        if self._rng.random() < events.REGISTRY_RACE:
            self._race()

    def _recover(self) -> None:
        """End all faults and do three runs, which must repair everything."""
        self._until.clear()
        for _ in range(3):
            self.world.clock.advance(900)
            self._apply_states()
            self._run_and_check([])

    # --- what happens ----------------------------------------------------------------------------

    def _begin_states(self) -> None:
        for name, duration in events.draw_beginnings(self._rng):
            self._note(name, f"for {duration.total_seconds() / 3600:.1f} hours")
            self._until[name] = self.world.clock.at + duration
            if name == "clock wrong":
                self.world.clock.error = events.draw_clock_error(self._rng)
        self._apply_states()

    def _apply_states(self) -> None:
        world = self.world
        if not self._lasts("clock wrong"):
            world.clock.error = timedelta()
        world.stand_in.always = events.OUTAGE if self._lasts("API away") else None
        faults.hide(world.archive_folder, is_hidden=self._lasts("archive away"))
        faults.hide(world.socket_folder, is_hidden=self._lasts("database away"))

    def _draw_faults(self) -> None:
        """Draw faults of the API and of single coins."""
        world = self.world
        responses = events.draw_faults(self._rng)
        world.stand_in.faults.extend(responses)
        if responses:
            self._note("API fault", f"{len(responses)} responses")
        if coin_fault := events.draw_coin_fault(self._rng):
            kind, duration = coin_fault
            coin_id = self._rng.choice(world.coin_ids)
            until = world.clock.at + duration
            world.market.begin_fault(coin_id, kind, until.timestamp())
            self._note("coin fault", f"{coin_id} {kind} until {until:%m-%d %H:%M}")

    def _lasts(self, name: str) -> bool:
        return name in self._until and self.world.clock.at < self._until[name]

    def _note(self, name: str, detail: str) -> None:
        self.events[name] += 1
        self.trace.append(f"{self.world.clock.at:%Y-%m-%d %H:%M:%S} {name} ({detail})")

    def _race(self) -> None:
        """Let two clones change and push the registry at once."""
        world, rng = self.world, self._rng
        self._note("registry race", "another clone has pushed")
        paths = world.settings.registry_path, world.other_registry
        registry_race.race(*paths, set(world.coin_ids), world.clock, rng)
        self._promises.expect_registry()

    # --- one run -------------------------------------------------------------------------------

    def _run_and_check(self, happenings: list[Event]) -> None:
        outcomes: list[Outcome] = []
        self._run(happenings, outcomes)
        faults.free_disk()
        self.world.stand_in.faults.clear()
        faults.hide(self.world.socket_folder, is_hidden=False)
        self._promises.check(
            outcomes,
            is_archive_away=self._lasts("archive away"),
            is_clock_wrong=bool(self.world.clock.error),
        )

    def _run(self, happenings: list[Event], outcomes: list[Outcome]) -> None:
        """Do a run and add its outcome when it ends, so that of a second run comes before it."""
        world = self.world
        outcome = Outcome(world.clock.clocks.now())
        outcome.events += [name for name in events.LASTING if self._lasts(name)]
        outcome.events += ["API fault"] if world.stand_in.faults else []
        watch = self._watch(outcome, happenings, outcomes)
        with contextlib.suppress(Killed), input_output.watched_by(watch):
            outcome.report = run_pipeline(
                world.settings, clocks=world.clock.clocks, is_scheduled=True
            )
        if watch.is_dead:
            outcome.fetched.clear()  # it may have ended before the response was on disk
            self._bury()
        else:
            self._operations = watch.operations
        if faults.is_disk_full():
            outcome.events.append("disk full")
        self.runs += 1
        outcomes.append(outcome)

    def _watch(self, outcome: Outcome, happenings: list[Event], outcomes: list[Outcome]) -> Watch:
        """Return the watch of a run that lets its events happen, and notes what it receives."""
        market = self.world.market
        pending = deque(
            (max(1, round(event.place * self._operations)), event.name) for event in happenings
        )

        def before(watch: Watch) -> None:
            while pending and pending[0][0] <= watch.operations:
                place, name = pending.popleft()
                if name == "connection lost" and watch.connection is None:
                    pending.appendleft((place + 1, name))
                    return
                outcome.events.append(name)
                self._note(name, f"at operation {watch.operations}")
                self._let_happen(name, watch, outcomes)

        def on_response(url: str, status: int) -> None:
            quotes = market.take_quotes()
            if status == 200:
                outcome.credits += 1
                outcome.backfill_credits += "market_chart" in url
                if "API fault" not in outcome.events:
                    outcome.fetched |= quotes

        return Watch(self.world.folder, self.world.clock, before, on_response)

    def _let_happen(self, name: str, watch: Watch, outcomes: list[Outcome]) -> None:
        if name == "kill":
            watch.kill()
        elif name == "disk full":
            faults.fill_disk()
        elif name == "connection lost" and watch.connection:
            faults.break_connection(watch.connection)
        elif name == "second run":
            ended = len(outcomes)
            self._run(events.draw_second(self._rng), outcomes)
            for second in outcomes[ended:]:
                second.events.append("second run")

    def _bury(self) -> None:
        """Do what the kernel does after a kill: close files, and let the server notice."""
        with input_output.watched_by(None):
            gc.collect()
            self._promises.wait_for_sessions(input_output.open_connections())


def simulate(seed: int, days: float) -> Result:
    """Simulate so many days, and return what happened. Uses the hash seed of this process."""
    rng = random.Random(seed)
    random.seed(seed)  # the jitter of the product's pauses
    input_output.install()
    with (
        make_world(seed, {"coingecko_credits": rng.choice(CREDIT_QUOTAS)}) as world,
        psycopg.connect(world.conninfo, autocommit=True) as connection,
        _repeatable(rng),
    ):
        promises = Promises(world, connection)
        simulation = Simulation(world, rng, promises)
        schedule = list(delivered_runs(START, START + timedelta(days=days), seed))
        first, second = schedule[: len(schedule) // 2], schedule[len(schedule) // 2 :]
        problem = simulation.find_problem(first)
        footprints = [measure_footprint(world, connection)]
        problem = problem or simulation.find_problem(second, should_recover=True)
        footprints.append(measure_footprint(world, connection))
        return Result(
            seed,
            days,
            simulation.runs,
            promises.checks,
            dict(simulation.events),
            problem,
            simulation.trace[-TRACE:],
            promises.digest(),
            footprints,
        )


@contextlib.contextmanager
def _repeatable(rng: random.Random) -> Iterator[None]:
    """Make random names repeatable and waits for locks short; the database counts as Neon's."""
    modules = [(module, "LOCK_TIMEOUT_SECONDS") for module in (partitions, transactions, export)]
    modules += [(module, "PURGE_LOCK_TIMEOUT_SECONDS") for module in (partitions, retention)]
    with contextlib.ExitStack() as stack:
        for module, name in modules:
            stack.enter_context(mock.patch.object(module, name, LOCK_SECONDS))
        stack.enter_context(
            mock.patch.object(secrets, "token_hex", lambda size: rng.randbytes(size).hex())
        )
        stack.enter_context(mock.patch.object(budget_monitor, "is_metered", return_value=True))
        yield
