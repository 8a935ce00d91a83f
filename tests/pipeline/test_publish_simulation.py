"""The seeds that passed, published beside the pages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import publish_simulation
from sentinel.site.status import SimulationResult


def _git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_the_result_of_a_night_names_its_seeds_and_the_code_that_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    remote, clone = tmp_path / "remote.git", tmp_path / "clone"
    _git(tmp_path, "init", "--quiet", "--bare", str(remote))
    _git(tmp_path, "init", "--quiet", str(clone))
    _git(clone, "remote", "add", "origin", str(remote))
    _git(clone, "commit", "--quiet", "--allow-empty", "--message", "code")
    monkeypatch.setattr(publish_simulation, "ROOT", clone)
    options = ["--seed", "26330000", "--seeds", "200", "--days", "7"]
    monkeypatch.setattr(sys, "argv", ["publish_simulation", *options])
    assert publish_simulation.main() == 0
    assert "simulation.json" in capsys.readouterr().out
    text = _git(remote, "show", "gh-pages:simulation.json")
    result = SimulationResult.model_validate_json(text)
    assert (result.first_seed, result.seeds, result.days) == (26_330_000, 200, 7)
    assert result.commit == _git(clone, "rev-parse", "HEAD").strip()
