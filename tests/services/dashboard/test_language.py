"""Every text of the dashboard has an Indonesian one, which is used in an Indonesian page."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator

from safe_zone import ROOT
from sentinel import models
from sentinel.site import labels
from services.api.portfolio import returns
from services.dashboard.catalog_id import SHARED_TEXTS, TEXTS

DASHBOARD = ROOT / "services" / "dashboard"
# How many of the first arguments are texts.
FUNCTIONS = {"tr": 1, "tr_count": 2}


def find_texts() -> Iterator[tuple[str, ast.expr]]:
    """Yield the place and the argument of each text."""
    for path in sorted(DASHBOARD.rglob("*.py")):
        if path.name == "language.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                for argument in node.args[: FUNCTIONS.get(node.func.id, 0)]:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", argument


def list_fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_each_text_has_its_translation_and_no_translation_is_left_over() -> None:
    found = list(find_texts())
    variable = [place for place, text in found if not isinstance(text, ast.Constant)]
    assert variable == [], "a text must be a constant, or no test finds its translation"
    used = {str(text.value): place for place, text in found if isinstance(text, ast.Constant)}
    missing = {place: text for text, place in used.items() if text not in TEXTS}
    assert missing == {}, "add them to services/dashboard/catalog_id.py"
    assert sorted(TEXTS.keys() - used.keys()) == [], "no page shows them: remove them"
    gaps = {*models.GAP_REASONS.values(), models.GAP_WAITS, returns.TOO_SHORT}
    shared = {*labels.REASONS.values(), labels.UNKNOWN_REASON, *labels.QUOTAS.values()}
    assert gaps | shared == SHARED_TEXTS.keys()


def test_a_translation_has_the_values_links_and_code_of_its_text() -> None:
    for english, indonesian in (TEXTS | SHARED_TEXTS).items():
        assert list_fields(indonesian) == list_fields(english), english
        for pattern in (r"`.*?`", r"\]\(.*?\)"):
            assert sorted(re.findall(pattern, indonesian)) == sorted(re.findall(pattern, english))
