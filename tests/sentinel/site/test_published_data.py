"""The files of the public page for other programs: schema, badge and feed."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema_rs
import pytest

from sentinel.site.badge import format_badge
from sentinel.site.feed import MAX_ENTRIES, format_feed
from sentinel.site.site_files import SiteFigures, render_site
from sentinel.site.status import HealthChange, Incident, RaisedAlert, Status
from sentinel.site.status_schema import make_schema
from tests.support.site import NOW, make_status

ATOM = {"atom": "http://www.w3.org/2005/Atom"}
GRAMMAR = Path(__file__).with_name("atom.rng")
HOSTILE = "]]><script>&\0\x1b\ufffe\u202e\"'</title>"


def _make_registry(*changes: HealthChange) -> dict[str, Any]:
    return make_status().registry.model_dump() | {"changes": list(changes)}


def _make_full_status(**changed: Any) -> Status:
    """Return a status with two health changes, a finished and an open incident, and an alert."""
    hour = timedelta(hours=1)
    incident = Incident(
        incident="coingecko_unavailable",
        source="schedule",
        began_at=NOW - 4 * hour,
        ended_at=NOW - 2 * hour,
        summary="CoinGecko did not respond.",
    )
    values: dict[str, Any] = {
        "registry": _make_registry(
            HealthChange(at=NOW - 9 * hour, coin_id="ghost", change="healed"),
            HealthChange(at=NOW - 5 * hour, coin_id="ghost", change="deactivated"),
        ),
        "incidents": [
            incident,
            incident.model_copy(update={"began_at": NOW - hour, "ended_at": None}),
        ],
        "alerts": [
            RaisedAlert(
                at=NOW - 3 * hour,
                coin_id="bitcoin",
                symbol="btc",
                kind="panic",
                move=-0.1234,
            )
        ],
    }
    return make_status(**values | changed)


def _make_hostile_status() -> Status:
    return _make_full_status(
        registry=_make_registry(HealthChange(at=NOW, coin_id=HOSTILE, change="healed")),
        alerts=[RaisedAlert(at=NOW, coin_id=HOSTILE, symbol=HOSTILE, kind="reversal", move=9)],
        incidents=[
            Incident(
                incident=HOSTILE, source="monitor", began_at=NOW, ended_at=None, summary=HOSTILE
            )
        ],
    )


def _parse_feed(status: Status, page_url: str | None = None) -> ElementTree.Element:
    return ElementTree.fromstring(format_feed(status, page_url))  # noqa: S314 (our own text)


def _list_entries(status: Status) -> list[dict[str, str]]:
    """Return the texts of each entry by the name of their element."""
    entries = _parse_feed(status).findall("atom:entry", ATOM)
    return [{one.tag.partition("}")[2]: one.text or "" for one in entry} for entry in entries]


# --- schema ----------------------------------------------------------------------------------


def test_documents_are_valid_by_their_schema_and_wrong_ones_are_not() -> None:
    validator = jsonschema_rs.Draft202012Validator(make_schema(), validate_formats=True)
    for status in (make_status(), _make_full_status()):
        document = json.loads(status.model_dump_json())
        validator.validate(document)
        # Readers of today accept the documents of a later version with more fields.
        later = document | {"a_new_field": 1}
        assert validator.is_valid(later)
        assert Status.model_validate(later) == status
        for wrong in ({"state": "fine"}, {"generated_at": "yesterday"}, {"schema_version": 2}):
            assert not validator.is_valid(document | wrong), wrong
        del document["registry"]
        assert not validator.is_valid(document)


# --- badge -----------------------------------------------------------------------------------


def test_the_badge_says_the_state_the_share_of_the_week_and_its_day() -> None:
    totals = {"longest_silence_minutes": 40.0, "longest_silence_from": None, "backfilled": 0}
    shares = [(60, 5760, 2000), (7, 672, 671)]  # the last one is nearly all
    schedule = {
        "cadence_minutes": 15,
        "reference_coin": None,
        "totals": [{"days": d, "expected": e, "delivered": n, **totals} for d, e, n in shares],
        "hours": [],
        "days": [],
    }
    assert json.loads(format_badge(make_status(schedule=schedule))) == {
        "schemaVersion": 1,
        "label": "market sentinel",
        "message": "ok · 99 % of 7 days delivered · 2026-11-20",
        "color": "brightgreen",
        "isError": False,
    }
    without_runs = json.loads(format_badge(make_status(state="unhealthy")))
    assert without_runs["message"] == "unhealthy · 2026-11-20"
    assert without_runs["isError"]


# --- feed ------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("xmllint") is None, reason="xmllint checks the grammar")
def test_feeds_follow_the_grammar_of_atom(tmp_path: Path) -> None:
    feeds = {
        "empty": format_feed(make_status(repository_url=None)),
        "full": format_feed(_make_full_status(), "https://owner.github.io/name/"),
        "hostile": format_feed(_make_hostile_status()),
    }
    for name, feed in feeds.items():
        (tmp_path / f"{name}.xml").write_text(feed, encoding="utf-8")
    broken = tmp_path / "broken.xml"
    broken.write_text(feeds["full"].replace("<updated>", "<updated>on "), encoding="utf-8")
    command = ["xmllint", "--noout", "--relaxng", str(GRAMMAR)]
    files = sorted(str(path) for path in tmp_path.iterdir() if path != broken)
    done = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(" validates\n") == len(feeds), done.stderr
    assert subprocess.run([*command, broken], capture_output=True, check=False).returncode == 3


def test_the_feed_tells_what_happened_newest_first() -> None:
    assert [entry["title"] for entry in _list_entries(_make_full_status())] == [
        "Incident: CoinGecko did not respond.",
        "Resolved: CoinGecko did not respond.",
        "BTC fell by 12.3%: panic alert",
        "ghost was deactivated",
        "ghost was reactivated",
    ]


def test_an_entry_keeps_its_id_and_the_end_of_an_incident_updates_its_entry() -> None:
    ended = _make_full_status()
    [open_one] = [one for one in ended.incidents if one.ended_at is None]
    before = ended.model_copy(update={"incidents": [open_one]})
    after = ended.model_copy(update={"incidents": [open_one.model_copy(update={"ended_at": NOW})]})
    old, new = _list_entries(before)[0], _list_entries(after)[0]
    assert old["id"] == new["id"]
    assert (old["updated"], new["updated"]) == ("2026-11-20T11:00:00Z", "2026-11-20T12:00:00Z")
    entries = _list_entries(ended)
    assert len({entry["id"] for entry in entries}) == len(entries)
    elsewhere = ended.model_copy(update={"repository_url": "https://github.com/other/name"})
    assert not {entry["id"] for entry in entries} & {e["id"] for e in _list_entries(elsewhere)}


def test_the_feed_has_an_author_links_and_at_most_fifty_entries() -> None:
    changes = [
        HealthChange(at=NOW - timedelta(minutes=n), coin_id=f"coin-{n}", change="healed")
        for n in range(MAX_ENTRIES + 5)
    ]
    status = _make_full_status(registry=_make_registry(*changes))
    feed = _parse_feed(status, "https://owner.github.io/name/")
    entries = feed.findall("atom:entry", ATOM)
    assert len(entries) == MAX_ENTRIES
    assert feed.findtext("atom:author/atom:name", namespaces=ATOM) == "Market Sentinel"
    links = {link.get("rel"): link.get("href") for link in feed.findall("atom:link", ATOM)}
    assert links["self"] == "https://owner.github.io/name/feed.xml"
    files = render_site(SiteFigures(_make_full_status()))
    for link in _parse_feed(_make_full_status()).findall("atom:entry/atom:link", ATOM):
        name, _, part = str(link.get("href")).partition("#")
        assert f'id="{part}"'.encode() in files[name]
    [relative] = _parse_feed(status).findall("atom:link", ATOM)
    assert relative.get("href") == "index.html"


def test_a_hostile_name_stays_text_in_the_feed() -> None:
    titles = [entry["title"] for entry in _list_entries(_make_hostile_status())]
    assert len(titles) == 3
    for title in titles:
        assert "]]><script>" in title.lower()
        assert title.isprintable()
