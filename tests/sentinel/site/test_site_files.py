"""The files of the public page."""

from __future__ import annotations

import base64
import hashlib
import html
import re

from sentinel.site.site_files import SiteFigures, render_site
from sentinel.site.status import Status
from tests.support.site import make_status


def test_the_published_status_is_the_one_that_the_pages_show() -> None:
    status = make_status(state="warning")
    files = render_site(SiteFigures(status))
    assert Status.model_validate_json(files["status.json"]) == status
    assert b"warning" in files["index.html"]


def test_search_engines_are_asked_to_stay_away_unless_they_are_invited() -> None:
    files = render_site(SiteFigures(make_status()))
    assert files["robots.txt"] == b"User-agent: *\nDisallow: /\n"
    assert b'<meta name="robots" content="noindex">' in files["index.html"]
    invited = render_site(SiteFigures(make_status(), is_indexed=True))
    assert invited["robots.txt"] == b"User-agent: *\nAllow: /\n"
    assert b"noindex" not in invited["index.html"]


def test_each_page_allows_its_own_stylesheet_and_script_and_nothing_else() -> None:
    files = render_site(SiteFigures(make_status()))
    for name in ("index.html", "trust.html"):
        page = files[name].decode()
        css = page.split("<style>")[1].split("</style>")[0]
        digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
        policy = html.unescape(page.split('Content-Security-Policy" content="')[1].split('"')[0])
        assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; script-src")
        assert not re.search(r"\s(style|on\w+)=", page)
