"""The public page: which runs read its figures, and what is published of them."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from coin_registry import CoinRegistry
from ingest import run_pipeline
from pipeline import publish_site, site_stage
from pipeline.pages_branch import PagesBranch
from pipeline.run import Run
from safe_zone import Mode, Settings, load_settings
from sentinel.budget import usage_log
from sentinel.budget.usage_log import Usage
from sentinel.errors import ConfigurationError
from sentinel.site import site_files
from sentinel.site.site_files import SiteFigures
from sentinel.site.status import Status
from sentinel.storage.connection import Address, Session
from tests.conftest import FakeTime
from tests.support.site import NOW, make_status

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent"}


@pytest.fixture
def branch(tmp_path: Path) -> PagesBranch:
    """The branch of a bare repository that is empty."""
    command = ["git", "init", "--quiet", "--template=", "--bare", "remote.git"]
    subprocess.run(command, cwd=tmp_path, check=True)
    return PagesBranch("remote.git", ENVIRONMENT, tmp_path)


def _save_status(settings: Settings) -> None:
    """Leave figures as a run does."""
    folder = settings.state_dir / "site"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "status.json").write_text(make_status().model_dump_json())


def test_the_figures_are_read_at_most_once_an_hour_and_published_once(
    tmp_path: Path, time_: FakeTime, session: Session, branch: PagesBranch
) -> None:
    """The database is empty."""
    settings = Settings(state_dir=tmp_path / "state", public_page="market")

    def prepare(settings: Settings) -> set[str]:
        run = Run(settings, time_.clocks, is_scheduled=True)
        site_stage.prepare_page(run, CoinRegistry(), session)
        return {path.name for path in (settings.state_dir / "site").iterdir()} | {*run.warnings}

    assert prepare(settings) == {"market.json", "status.json"}
    others = {"CNAME": b"page.example.org", "monitor.json": b"{}", "old.html": b""}
    branch.replace_files(lambda _read: others)
    assert "files on gh-pages" in publish_site.publish_site(settings, branch, NOW)
    published = branch.read_files(["CNAME", "monitor.json", "old.html", "status.json"])
    assert published.keys() == {"CNAME", "monitor.json", "status.json"}
    time_.at += timedelta(minutes=45)
    assert prepare(settings) == set()
    assert publish_site.publish_site(settings, branch, NOW).startswith(
        "nothing to publish: no run has"
    )
    time_.at += timedelta(minutes=14)  # GitHub starts a run a minute early
    assert prepare(replace(settings, public_page="status")) == {"status.json"}
    time_.at += timedelta(hours=1)
    spent = Usage(time_.at, 1.0, egress_bytes=6_000_000_000)
    usage_log.add_run(settings.state_dir / "usage_log.json", spent, time_.at, time_.at)
    assert prepare(settings) == {"status.json", site_stage.NO_MARKET}


@pytest.mark.slow
def test_an_outage_is_shown_on_the_page_although_no_run_reads_new_figures(
    tmp_path: Path, branch: PagesBranch
) -> None:
    settings = Settings(state_dir=tmp_path / "state", public_page="market")
    settings.state_dir.mkdir()
    before = make_status()
    page = {"status.json": before.model_dump_json().encode(), "market.html": b"prices"}
    branch.replace_files(lambda _read: page)

    def publish(*codes: int) -> str:
        usages = [
            Usage(NOW + timedelta(minutes=30 * n), 1.0, exit_code=code)
            for n, code in enumerate(codes)
        ]
        (settings.state_dir / "usage_log.json").write_text(usage_log.to_text(usages))
        return publish_site.publish_site(settings, branch, NOW)

    def read() -> tuple[Status, str]:
        files = branch.read_files(["status.json", "index.html", "market.html"])
        assert files["market.html"] == b"prices"
        return Status.model_validate_json(files["status.json"]), files["index.html"].decode()

    assert publish(4, 4) == publish_site.NOTHING_NEW
    assert publish(4, 4, 4) == "published an incident on gh-pages"
    assert publish(4, 4, 4) == publish_site.NOTHING_NEW
    status, index = read()
    assert (status.state, status.generated_at) == ("unhealthy", before.generated_at)
    assert status.incidents[0].incident == "database_unavailable"
    assert "Scheduled runs failed: the database was unavailable." in index
    assert 'href="market.html"' in index
    assert publish(4, 4, 4, 0) == "published an incident on gh-pages"
    ended, _ = read()
    assert ended.state == before.state
    assert ended.incidents[0].ended_at == NOW + timedelta(minutes=90)
    assert len(ended.incidents) == len(before.incidents) + 1


@pytest.mark.parametrize(("mode", "is_scheduled"), [("ingest", False), ("backfill", True)])
def test_a_run_of_a_person_or_a_backfill_leaves_the_figures_to_the_next_scheduled_run(
    tmp_path: Path, time_: FakeTime, mode: Mode, is_scheduled: bool
) -> None:
    settings = Settings(state_dir=tmp_path, public_page="market", mode=mode)
    run = Run(settings, time_.clocks, is_scheduled=is_scheduled)
    with Session(Address("host=nowhere", "nowhere")) as unused:
        site_stage.prepare_page(run, CoinRegistry(), unused)
        assert unused.held_seconds == 0


def test_an_error_of_the_page_is_a_warning_and_does_not_cost_each_run_its_egress(
    settings: Settings, time_: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []

    def fail(*_arguments: object) -> None:
        reads.append(1)
        raise ValueError("a defect")

    monkeypatch.setattr(site_stage, "_read", fail)
    settings = replace(settings, limit=3, public_page="status")
    first, second = (
        run_pipeline(settings, clocks=time_.clocks, is_scheduled=True) for _ in range(2)
    )
    assert first.warnings == ["The public page stays as it is for an hour: ValueError: a defect"]
    assert (first.status, second.status, second.warnings, reads) == ("ok", "ok", [], [1])


def test_without_the_variable_a_run_does_nothing_for_a_page(
    settings: Settings, time_: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(site_stage, "prepare_page")
    report = run_pipeline(replace(settings, limit=3), clocks=time_.clocks, is_scheduled=True)
    assert (report.status, report.warnings) == ("ok", [])
    off = publish_site.publish_site(settings, PagesBranch("nowhere", ENVIRONMENT), NOW)
    assert off == "nothing to publish: SENTINEL_PUBLIC_PAGE is neither status nor market"


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[SiteFigures]:
    """The figures of each page that is published."""
    shown: list[SiteFigures] = []

    def render(figures: SiteFigures) -> dict[str, bytes]:
        shown.append(figures)
        return {"status.json": b"{}"}

    monkeypatch.setattr(site_files, "render_site", render)
    return shown


def test_documents_of_other_writers_are_shown_and_damaged_ones_are_left_out(
    tmp_path: Path,
    branch: PagesBranch,
    shown: list[SiteFigures],
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = Settings(state_dir=tmp_path / "state", public_page="status", is_page_indexed=True)
    monitor = make_status(maker="monitor")
    others = {
        "CNAME": b"page.example.org\n",
        "monitor.json": monitor.model_dump_json().encode(),
        "simulation.json": b"{",
    }
    branch.replace_files(lambda _read: others)
    _save_status(settings)
    publish_site.publish_site(settings, branch, NOW)
    assert (shown[0].other, shown[0].simulation, shown[0].is_indexed) == (monitor, None, True)
    assert (shown[0].page_url, shown[0].is_indexed) == ("https://page.example.org/", True)
    assert caplog.messages == [
        "the page is made without the simulation: simulation.json is damaged"
    ]


def test_the_halves_exchange_their_documents_at_another_place_too(
    tmp_path: Path,
    branch: PagesBranch,
    shown: list[SiteFigures],
    caplog: pytest.LogCaptureFixture,
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    monitor = make_status(maker="monitor", generated_at=NOW - timedelta(hours=4))
    (place / "monitor.json").write_text(monitor.model_dump_json())
    settings = Settings(state_dir=tmp_path / "state", public_page="status", publish_url=str(place))
    _save_status(settings)
    publish_site.publish_site(settings, branch, NOW)
    assert Status.model_validate_json((place / "status.json").read_bytes()) == make_status()
    assert shown[0].other == monitor
    (place / "status.json").unlink()
    (place / "status.json").mkdir()  # it can no longer be written
    _save_status(settings)
    publish_site.publish_site(settings, branch, NOW)
    assert shown[1].other is None
    silent, unwritten = caplog.messages
    assert silent == "the monitor has published no status for 4 hours: run make status at home"
    assert unwritten.startswith("status.json was not written to SENTINEL_PUBLISH_URL: ")


@pytest.mark.parametrize(
    ("repository", "domain", "url"),
    [
        ("https://github.com/Owner/name", None, "https://owner.github.io/name/"),
        ("https://github.com/owner/owner.github.io", b"", "https://owner.github.io/"),
        ("https://github.com/owner/name", b"page.example.org\n", "https://page.example.org/"),
        ("https://github.com/owner/name", b"<b>", "https://owner.github.io/name/"),
        ("https://git.example.org/owner/name", None, None),
        (None, None, None),
    ],
)
def test_the_page_knows_its_address(repository: str | None, domain: bytes, url: str | None) -> None:
    assert publish_site.find_page_url(repository, domain) == url


def test_damaged_figures_are_a_clear_error(tmp_path: Path, branch: PagesBranch) -> None:
    settings = Settings(state_dir=tmp_path / "state", public_page="status")
    _save_status(settings)
    (settings.state_dir / "site" / "status.json").write_text("{")
    with pytest.raises(ConfigurationError, match="delete that folder"):
        publish_site.publish_site(settings, branch, NOW)


def test_a_wrong_kind_of_page_costs_the_page_and_no_prices(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert load_settings(environ={"SENTINEL_PUBLIC_PAGE": "market"}).public_page == "market"
    assert load_settings(environ={"SENTINEL_PUBLIC_PAGE": "yes"}).public_page is None
    assert caplog.messages == [
        "SENTINEL_PUBLIC_PAGE is 'yes', and not status or market: no page is published"
    ]
