"""`feed.xml`: health changes of coins, incidents and alerts as an Atom feed. Pure.

The format: https://www.rfc-editor.org/rfc/rfc4287
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from xml.etree import ElementTree

from sentinel.site.labels import describe_maker
from sentinel.site.status import HealthChange, Incident, RaisedAlert, Status

DECLARATION = '<?xml version="1.0" encoding="utf-8"?>\n'
NAMESPACE = "http://www.w3.org/2005/Atom"
MAX_ENTRIES = 50
TITLE = "Market Sentinel"


@dataclass(frozen=True, slots=True)
class _Entry:
    # The same in every publication, and different for each entry of a deployment.
    key: str
    title: str
    text: str
    category: str
    # The part of the page that shows it.
    link: str
    published: datetime
    updated: datetime


def format_feed(status: Status, page_url: str | None = None) -> str:
    """Return the newest entries as a feed.

    `page_url` is the address of the page's folder, with a slash at its end. Links are relative
    without it, and the feed has no link to itself.
    """
    entries = sorted(_list_entries(status), key=attrgetter("updated"), reverse=True)[:MAX_ENTRIES]
    base = page_url or ""
    feed = ElementTree.Element("feed", {"xmlns": NAMESPACE, "xml:lang": "en"})
    _add_text(feed, "id", _make_id(status, "feed"))
    _add_text(feed, "title", f"{TITLE}: {describe_maker(status.maker)}")
    _add_time(feed, "updated", entries[0].updated if entries else status.generated_at)
    _add_text(ElementTree.SubElement(feed, "author"), "name", TITLE)
    _add_link(feed, "alternate", f"{base}index.html", "text/html")
    if page_url:
        _add_link(feed, "self", f"{base}feed.xml", "application/atom+xml")
    for entry in entries:
        _add_entry(feed, entry, _make_id(status, entry.key), f"{base}{entry.link}")
    ElementTree.indent(feed, " ")
    return f"{DECLARATION}{ElementTree.tostring(feed, encoding='unicode')}\n"


def _list_entries(status: Status) -> Iterator[_Entry]:
    yield from map(_describe_change, status.registry.changes)
    yield from map(_describe_incident, status.incidents)
    yield from map(_describe_alert, status.alerts)


def _describe_change(change: HealthChange) -> _Entry:
    if change.change == "deactivated":
        title = f"{change.coin_id} was deactivated"
        text = "Runs no longer fetch this coin, except to probe it."
    else:
        title = f"{change.coin_id} was reactivated"
        text = "A probe of this coin passed. Runs fetch it again."
    key = f"coin/{change.coin_id}/{change.change}/{change.at.timestamp():.6f}"
    return _Entry(key, title, text, change.change, "index.html#registry", change.at, change.at)


def _describe_incident(incident: Incident) -> _Entry:
    # The end is an update of the entry that tells the begin.
    key = f"incident/{incident.source}/{incident.incident}/{incident.began_at.timestamp():.6f}"
    began, ended = incident.began_at, incident.ended_at
    text = f"{incident.summary} It began at {began:%Y-%m-%d %H:%M} UTC"
    text += f" and ended at {ended:%Y-%m-%d %H:%M} UTC." if ended else " and goes on."
    title = f"{'Resolved' if ended else 'Incident'}: {incident.summary}"
    return _Entry(
        key, title, text, incident.incident, "index.html#incidents", began, ended or began
    )


def _describe_alert(alert: RaisedAlert) -> _Entry:
    key = f"alert/{alert.coin_id}/{alert.kind}/{alert.at.timestamp():.6f}"
    direction, mark = ("fell", "high") if alert.move < 0 else ("rose", "low")
    title = f"{alert.symbol.upper()} {direction} by {abs(alert.move):.1%}: {alert.kind} alert"
    text = f"The price of {alert.coin_id} {direction} by that much since its {mark}-water mark."
    return _Entry(key, title, text, alert.kind, "trust.html#alerts", alert.at, alert.at)


def _make_id(status: Status, key: str) -> str:
    source = status.repository_url or "market-sentinel"
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{source}#{status.maker}/{key}").urn


def _add_entry(feed: ElementTree.Element, entry: _Entry, entry_id: str, link: str) -> None:
    element = ElementTree.SubElement(feed, "entry")
    _add_text(element, "id", entry_id)
    _add_text(element, "title", entry.title)
    _add_time(element, "published", entry.published)
    _add_time(element, "updated", entry.updated)
    ElementTree.SubElement(element, "category", {"term": _clean(entry.category)})
    _add_link(element, "alternate", link, "text/html")
    _add_text(element, "content", entry.text)


def _add_text(parent: ElementTree.Element, tag: str, text: str) -> None:
    ElementTree.SubElement(parent, tag).text = _clean(text)


def _add_time(parent: ElementTree.Element, tag: str, time: datetime) -> None:
    ElementTree.SubElement(parent, tag).text = _format_time(time)


def _add_link(parent: ElementTree.Element, relation: str, href: str, media_type: str) -> None:
    ElementTree.SubElement(parent, "link", {"rel": relation, "type": media_type, "href": href})


def _format_time(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def _clean(text: str) -> str:
    """Return a text without the characters that XML forbids, or that reverse or hide text."""
    return "".join(char if char.isprintable() else " " for char in text)
