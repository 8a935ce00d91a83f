"""The poller: waits for updates, and hands over those that may be answered."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from sentinel.errors import Interrupted, SentinelError
from services.telegram.access import Access
from services.telegram.bot import POLL_SECONDS, BotError
from services.telegram.responder import Responder
from services.telegram.updates import Update

log = logging.getLogger("sentinel.telegram")

FIRST_PAUSE_SECONDS = 5.0
MAX_PAUSE_SECONDS = 120.0
CONFLICT_PAUSE_SECONDS = 30.0
STATUS_INTERVAL = timedelta(minutes=1)
# The token was revoked, or never was one.
TOKEN_STATUSES = (401, 404)


@dataclass(slots=True)
class Poller:
    """Reads the updates of one bot."""

    responder: Responder
    access: Access
    # Confirms the updates below it; None: Telegram knows them already.
    offset: int | None = None
    # Why no updates come; None: they do.
    problem: str | None = None
    failures: int = 0
    is_token_wrong: bool = False
    # None: the commands are not registered yet.
    _username: str | None = None
    # The last try to record the status, and the problem then.
    _recorded_at: datetime | None = None
    _recorded_problem: str | None = None

    def run(self) -> None:
        """Poll until a signal ends the process."""
        while True:
            pause = self.poll()
            if pause > 0:
                self.responder.clocks.sleep(pause)

    def poll(self) -> float:
        """Wait for updates and answer them; return the seconds to pause before the next poll."""
        # The first poll returns at once, so that the status is known soon.
        seconds = 0 if self.problem or self._username is None else POLL_SECONDS
        pause = 0.0
        try:
            if self._username is None:
                self._username = self.responder.register()
            found = self.responder.bot.get_updates(self.offset, seconds)
        except BotError as error:
            pause = self._note_failure(error)
        else:
            self._note_success()
            self.offset = found.next_offset
            now = found.server_time or self.responder.clocks.now()
            for update in found.updates:
                self._handle(update, now)
        self._record_status()
        return pause

    def _handle(self, update: Update, now: datetime) -> None:
        """Answer an update's request, if it may be answered."""
        request = update.request
        if request is None or not request.is_addressed_to(self._username or ""):
            return
        decision = self.access.decide(request, now)
        try:
            if decision == "answer":
                self.responder.answer(request)
            elif decision == "too_many":
                self.responder.warn(request)
        except BotError as error:
            log.warning("an answer did not arrive: %s", error)

    def _note_success(self) -> None:
        if self.problem:
            log.warning("Telegram sends updates again")
        self.problem, self.failures, self.is_token_wrong = None, 0, False

    def _note_failure(self, error: BotError) -> float:
        """Log a failed poll once; return the pause after it."""
        self.failures += 1
        self.is_token_wrong = error.status in TOKEN_STATUSES
        problem, pause = describe_failure(error, self.failures)
        if problem != self.problem:
            log.warning("no commands from Telegram: %s", problem)
        self.problem = problem
        return pause

    def _record_status(self) -> None:
        """Record the status once a minute, or if the problem changed."""
        now = self.responder.clocks.now()
        is_new = self._recorded_at is None or now - self._recorded_at >= STATUS_INTERVAL
        if not is_new and self.problem == self._recorded_problem:
            return
        self._recorded_at, self._recorded_problem = now, self.problem
        state = {
            "problem": self.problem,
            "is_token_wrong": self.is_token_wrong,
            "answered": self.access.answered,
            "strangers": self.access.strangers,
            "dropped": self.access.dropped,
        }
        try:
            self.responder.record(state)
        except Interrupted:
            raise
        except SentinelError as error:
            log.warning("the status cannot be recorded: %s", error)


def describe_failure(error: BotError, failures: int) -> tuple[str, float]:
    """Return what is wrong after so many failures in a row, and the seconds to pause."""
    growing = min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * (1 << min(failures - 1, 10)))
    if error.status in TOKEN_STATUSES:
        text = f"{error}. The bot's token is wrong or was revoked: correct TELEGRAM_BOT_TOKEN"
        return text, MAX_PAUSE_SECONDS
    if error.status == 409:
        text = f"{error}. Stop the other program, or give it a bot of its own"
        return text, max(CONFLICT_PAUSE_SECONDS, growing)
    if error.retry_after_seconds is not None:
        return str(error), min(max(1.0, error.retry_after_seconds), MAX_PAUSE_SECONDS)
    return str(error), growing
