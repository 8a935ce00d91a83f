"""The error family, grouped by what happens next, and the exit codes of every command.

SentinelError                 stop, exit 1: an unexpected problem
├── ConfigurationError        stop, exit 2: the user has to change a setting, a flag or a file
├── ApiUnavailable            continue with the coins that arrived, exit 3: the next run tries again
│   └── ApiRefused            the same, but a retry does not help: CoinGecko rejected the request
│       └── CoinUnknown       skip this coin
├── StorageUnavailable        exit 4: the rows wait in the spool for the next run
├── ArchiveUnavailable        exit 4: the day stays in the database, the next run tries again
├── ArchiveDamaged            exit 6: the user has to restore the file, or accept the loss
├── BudgetExhausted           exit 5, before any call or large read: quotas reset next month
└── Interrupted               exit 128 + signal: a signal asked the process to end

The docstring of a class is its default message, so it is written for the user.
"""

from __future__ import annotations

import signal

EXIT_OK = 0
EXIT_UNEXPECTED = 1
EXIT_UNHEALTHY = 6


class SentinelError(Exception):
    """Market Sentinel met an unexpected problem."""

    exit_code = EXIT_UNEXPECTED

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class ConfigurationError(SentinelError):
    """A setting is wrong. Correct it and start again."""

    exit_code = 2


class ApiUnavailable(SentinelError):
    """CoinGecko does not respond. The next run tries again."""

    exit_code = 3


class ApiRefused(ApiUnavailable):
    """CoinGecko rejects this request, and a retry does not help."""


class CoinUnknown(ApiRefused):
    """CoinGecko does not know this coin."""


class StorageUnavailable(SentinelError):
    """The database cannot be used. Fetched rows wait in the spool for the next run."""

    exit_code = 4


class ArchiveUnavailable(SentinelError):
    """The archive cannot be used. The days to archive stay in the database."""

    exit_code = 4


class ArchiveDamaged(SentinelError):
    """A file of the archive differs from the file that was written."""

    exit_code = EXIT_UNHEALTHY


class BudgetExhausted(SentinelError):
    """A free quota is used up. Runs continue when the next month begins."""

    exit_code = 5


class Interrupted(SentinelError):
    """The run was asked to stop."""

    def __init__(self, signal_number: int) -> None:
        self.exit_code = 128 + signal_number
        super().__init__(f"Stopped by {signal.Signals(signal_number).name}.")
