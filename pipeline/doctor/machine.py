"""The machine: Python and its packages, the state folder and its disk, `.env`, the registry."""

from __future__ import annotations

import importlib.metadata
import os
import re
import stat
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from coin_registry import CoinRegistry
from safe_zone import ROOT, Settings
from sentinel.config import describe_no_folder
from sentinel.errors import ConfigurationError
from sentinel.health import checks
from sentinel.health.deployment import read_disk_space
from sentinel.health.facts import HealthCheck

PYTHONS = ((3, 11), (3, 16))  # supported: from the first, below the second
# In the state directory: a run continues without them, and would lose or forget rows.
OWN_FILES = ("spool", "usage_log.json", ".usage_log.json.lock")
CLOSED_TO_US = "This user cannot use {}: set SENTINEL_STATE_DIR to a folder of its own."
MAX_NAMED = 5  # packages in one message
MAX_REGISTRY_AGE = timedelta(days=3)  # the registry is synced once a day
# https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
MOUNTS = Path("/proc/self/mounts")
NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "fuse.rclone"}
# Without owners and modes: PostgreSQL refuses to start there.
FOREIGN_FILE_SYSTEMS = {"vfat", "exfat", "ntfs", "ntfs3", "fuseblk"}
MEMORY_FILE_SYSTEMS = {"tmpfs", "ramfs"}
_PIN = re.compile(r"^([\w.-]+)(?:\[[\w,]+\])?==([^ \\;]+)", re.MULTILINE)


def check_installation() -> Iterator[HealthCheck]:
    """Yield the checks of Python and of the installed packages."""
    version = ".".join(map(str, sys.version_info[:3]))
    if PYTHONS[0] <= sys.version_info < PYTHONS[1]:
        yield HealthCheck("python", "ok", f"Python {version}.")
    else:
        text = f"Python {version} is not supported: install 3.11 to 3.15, and run make setup."
        yield HealthCheck("python", "unhealthy", text)
    yield _check_packages()


def _check_packages() -> HealthCheck:
    """Compare the installed versions with those that the requirement files pin."""
    required = _read_pins(ROOT / "requirements.txt")
    if not required:
        return HealthCheck("packages", "ok", "The packages are those of the image.")
    pins = dict(required)
    for path in (ROOT / "requirements").glob("*.txt"):
        for name, versions in _read_pins(path).items():
            pins.setdefault(name, set()).update(versions)
    installed = {
        _normalize(found.metadata["Name"]): found.version
        for found in importlib.metadata.distributions()
    }
    wrong = [
        f"{name} {installed[name]} instead of {' or '.join(sorted(versions))}"
        for name, versions in sorted(pins.items())
        if name in installed and installed[name] not in versions
    ]
    if not wrong:
        count = len(pins.keys() & installed.keys())
        return HealthCheck("packages", "ok", f"{count} packages have the pinned versions.")
    more = f" and {len(wrong) - MAX_NAMED} more" if len(wrong) > MAX_NAMED else ""
    text = f"{', '.join(wrong[:MAX_NAMED])}{more}: run make setup, or make up for the monitor."
    return HealthCheck("packages", "warning", text)


def _read_pins(path: Path) -> dict[str, set[str]]:
    """Return the pinned versions by name; a package may have one for older Pythons."""
    pins: dict[str, set[str]] = {}
    if path.exists():
        for name, version in _PIN.findall(path.read_text(encoding="utf-8")):
            pins.setdefault(_normalize(name), set()).add(version)
    return pins


def _normalize(name: str) -> str:
    """Return a package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def check(settings: Settings, now: datetime) -> Iterator[HealthCheck]:
    """Yield the checks of files and folders."""
    yield _check_env_file()
    yield _check_state_folder(settings)
    yield checks.check_disk(read_disk_space(settings.state_dir))
    yield _check_registry(settings, now)


def _check_env_file() -> HealthCheck:
    path = next((p for p in (Path(".env"), ROOT / ".env") if p.is_file()), None)
    if path is None:
        return HealthCheck("env_file", "ok", "There is no .env: settings come from elsewhere.")
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        text = f"Other users can read the secrets in {path}: run chmod 600 {path}"
        return HealthCheck("env_file", "warning", text)
    return HealthCheck("env_file", "ok", f"Only its owner can read {path}.")


def _check_state_folder(settings: Settings) -> HealthCheck:
    folder = settings.state_dir
    try:
        if not folder.is_symlink() and not folder.exists():
            return HealthCheck("state_folder", "ok", f"The first run creates {folder}.")
        problem = _find_unusable(folder)
    except PermissionError:  # the folder around it is closed
        problem = CLOSED_TO_US.format(folder)
    if problem:
        return HealthCheck("state_folder", "unhealthy", problem)
    kind = read_file_system(folder)
    if kind in FOREIGN_FILE_SYSTEMS and not settings.database_url:
        text = (
            f"{folder} is on {kind}, where the embedded PostgreSQL cannot run: set "
            "SENTINEL_STATE_DIR to a folder on a Linux file system, or set DATABASE_URL."
        )
        return HealthCheck("state_folder", "unhealthy", text)
    if kind in NETWORK_FILE_SYSTEMS | MEMORY_FILE_SYSTEMS:
        why = "its locks may fail" if kind in NETWORK_FILE_SYSTEMS else "a reboot deletes it"
        text = f"{folder} is on {kind}, and {why}: set SENTINEL_STATE_DIR to a local disk."
        return HealthCheck("state_folder", "warning", text)
    # Root's PostgreSQL runs as another user, who passes through.
    mode = 0o711 if os.name == "posix" and os.geteuid() == 0 else 0o700
    if os.name == "posix" and folder.stat().st_mode & 0o077 & ~mode:
        text = f"Other users can enter {folder}: run chmod {mode:o} {folder}"
        return HealthCheck("state_folder", "warning", text)
    return HealthCheck("state_folder", "ok", f"{folder}{f' on {kind}' if kind else ''}.")


def _find_unusable(folder: Path) -> str | None:
    """Return why this user cannot use the state folder or what is in it; None if it can."""
    if not folder.is_dir():
        return describe_no_folder(folder)
    if not _is_usable(folder):
        return CLOSED_TO_US.format(folder)
    if unusable := [path for name in OWN_FILES if not _is_usable(path := folder / name)]:
        names = ", ".join(map(str, unusable))
        return f"This user cannot read and write {names}: give it to this user, with chown."
    return None


def _is_usable(path: Path) -> bool:
    """Return whether this user can read and write a file or folder; also if it is missing."""
    rights = os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)
    return os.access(path, rights) or not path.exists()


def read_file_system(folder: Path, mounts: Path = MOUNTS) -> str | None:
    """Return the type of the file system that a folder is on; None where Linux does not tell."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    path = str(folder.resolve())
    found: tuple[str, str] | None = None
    for _device, mounted_on, kind, *_rest in map(str.split, lines):
        place = mounted_on.replace("\\040", " ")  # a blank, as the kernel writes it
        is_above = path == place or path.startswith(f"{place.rstrip('/')}/")
        # A later mount hides an earlier one at the same place.
        if is_above and (found is None or len(place) >= len(found[0])):
            found = (place, kind)
    return found[1] if found else None


def _check_registry(settings: Settings, now: datetime) -> HealthCheck:
    path = settings.registry_path
    try:
        registry = CoinRegistry.load(path)
    except ValueError as error:
        text = f"{path} is damaged ({error}): the next run sets it aside and builds a new one."
        return HealthCheck("registry", "unhealthy", text)
    except ConfigurationError as error:
        return HealthCheck("registry", "unhealthy", str(error))
    if not registry.coins:
        return HealthCheck("registry", "warning", f"{path} is empty: the first run fills it.")
    active = sum(coin.status == "active" for coin in registry.coins.values())
    text = f"{active:,} active coins of {len(registry.coins):,}"
    if registry.synced_at is None or now - registry.synced_at > MAX_REGISTRY_AGE:
        synced = f"{registry.synced_at:%Y-%m-%d}" if registry.synced_at else "never"
        text = f"{text}, compared with CoinGecko's list {synced}: look at the warnings of the runs."
        return HealthCheck("registry", "warning", text)
    return HealthCheck("registry", "ok", f"{text}, compared on {registry.synced_at:%Y-%m-%d}.")
