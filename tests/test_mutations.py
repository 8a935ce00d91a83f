"""The mutations of `python -m tests.mutations` still fit the code."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.mutations import MUTATIONS, ROOT, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.path)
def test_every_mutation_changes_one_line_of_valid_code(mutation: Mutation, tmp_path: Path) -> None:
    copy = tmp_path / mutation.path
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / mutation.path, copy)
    mutation.apply(tmp_path)
    before, after = (
        (root / mutation.path).read_text(encoding="utf-8").splitlines() for root in (ROOT, tmp_path)
    )
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 1
    compile("\n".join(after), mutation.path, "exec")
    assert (ROOT / mutation.tests).exists()


def test_ten_promises_in_ten_modules_are_broken() -> None:
    assert len({mutation.path for mutation in MUTATIONS}) >= 10
