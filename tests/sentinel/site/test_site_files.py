"""The files of the public page."""

from __future__ import annotations

from sentinel.site.site_files import SiteFigures, render_site
from sentinel.site.status import Status
from tests.support.site import make_status


def test_the_published_status_is_the_one_that_the_pages_show() -> None:
    status = make_status(state="warning")
    files = render_site(SiteFigures(status))
    assert Status.model_validate_json(files["status.json"]) == status
    assert b"warning" in files["index.html"]


def test_search_engines_are_asked_to_stay_away() -> None:
    files = render_site(SiteFigures(make_status()))
    assert files["robots.txt"] == b"User-agent: *\nDisallow: /\n"
