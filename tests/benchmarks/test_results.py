"""Results of benchmarks: their limits, the JSON file, the table, and the comparison."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks.results import Record, Result, Unavailable

FAST = Result("load", 0.5, "s", at_most=1.0, floor=0.25, note="COPY")


def _write(folder: Path, commit: str, *results: Result) -> str:
    record = Record(commit, "3.11.7", "Linux", "2026-11-20T12:00:00", {"load": list(results)})
    record.write(folder / f"{commit}.json")
    return str(folder / f"{commit}.json")


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    return command.main()


@pytest.mark.parametrize(
    ("value", "limits", "is_within"),
    [
        (1.0, {"at_most": 1.0}, True),
        (1.1, {"at_most": 1.0}, False),
        (0.6, {"at_least": 0.6}, True),
        (0.5, {"at_least": 0.6}, False),
        (0.5, {"at_least": 0.6, "at_most": 1.0}, False),
        (99.0, {}, True),
    ],
)
def test_a_value_is_within_its_limits(
    value: float, limits: dict[str, float], is_within: bool
) -> None:
    assert Result("figure", value, "s", **limits).is_within_limit is is_within  # type: ignore[arg-type]


def test_a_run_prints_one_table_and_writes_the_same_as_json(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = Result("save", 3.0, "s", at_most=1.0)
    monkeypatch.setattr(command, "load_benchmark", lambda _name: lambda _smoke: iter([FAST, slow]))
    assert _run(monkeypatch, "load", "--out", str(tmp_path / "new" / "out.json")) == 0
    lines = capsys.readouterr().out.splitlines()
    [good] = [line for line in lines if " load  " in line and "0.5 s" in line]
    [bad] = [line for line in lines if " save  " in line]
    assert good.split() == ["load", "load", "0.5", "s", "at", "most", "1", "0.25", "COPY"]
    assert "OUTSIDE" in bad
    assert json.loads((tmp_path / "new" / "out.json").read_text())["results"]["load"] == [
        {
            "name": "load",
            "value": 0.5,
            "unit": "s",
            "at_most": 1.0,
            "at_least": None,
            "floor": 0.25,
            "note": "COPY",
        },
        {
            "name": "save",
            "value": 3.0,
            "unit": "s",
            "at_most": 1.0,
            "at_least": None,
            "floor": None,
            "note": "",
        },
    ]


def test_a_benchmark_that_fails_does_not_end_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(name: str) -> object:
        def measure(_is_smoke: bool) -> object:
            yield FAST
            if name == "api":
                raise Unavailable("wrk is not installed")
            if name == "load":
                raise ValueError("no partition")

        return measure

    monkeypatch.setattr(command, "load_benchmark", load)
    path = tmp_path / "out.json"
    assert _run(monkeypatch, "api", "load", "days", "--out", str(path)) == 1
    record = Record.read(path)
    assert list(record.results.values()) == [[FAST]] * 3
    assert record.problems == {
        "api": "skipped: wrk is not installed",
        "load": "failed: ValueError: no partition",
    }
    assert "load: failed: ValueError: no partition" in capsys.readouterr().out


def test_a_comparison_shows_both_commits_their_ratio_and_what_is_outside_its_limit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _write(tmp_path, "aaa", FAST, Result("gone", 1.0, "s"))
    after = _write(tmp_path, "bbb", Result("load", 2.0, "s", at_most=1.0), Result("new", 7.0, "MB"))
    assert _run(monkeypatch, "compare", before, after) == 0
    _, heading, *rows = capsys.readouterr().out.splitlines()
    assert heading.split() == ["benchmark", "figure", "unit", "aaa", "bbb", "ratio"]
    assert [row.split() for row in rows] == [
        ["load", "load", "s", "0.5", "2", "OUTSIDE", "4"],
        ["load", "gone", "s", "1", "-"],
        ["load", "new", "MB", "-", "7"],
    ]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [(["nonsense"], "unknown benchmark: nonsense"), (["compare", "one.json"], "two files")],
)
def test_wrong_arguments_are_an_error(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    error: str,
) -> None:
    with pytest.raises(SystemExit):
        _run(monkeypatch, *arguments)
    assert error in capsys.readouterr().err
