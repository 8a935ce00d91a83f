"""Publish the public page from the figures that the last run read, if there are new ones.

The page goes to the branch `gh-pages` of the clone's remote, from which GitHub Pages serves it.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import logging
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter

import budget_monitor
from pipeline.pages_branch import BRANCH, PagesBranch
from pipeline.publish_place import BranchPlace, open_place
from pipeline.run_incidents import find_reportable
from pipeline.site_figures import missing_packages_explained
from pipeline.site_stage import FIGURES_FILE, FOLDER, MARKET_FILE
from safe_zone import ROOT, Settings, load_settings
from sentinel.arguments import make_parser
from sentinel.budget import usage_log
from sentinel.errors import EXIT_OK, ConfigurationError, SentinelError
from sentinel.files import describe_os_error
from sentinel.process import describe_error, run_as_script
from sentinel.site.market import Market
from sentinel.site.other_half import FILES, DocumentInvalid, is_silent, parse_document
from sentinel.site.outage import add_incident
from sentinel.site.status import SIMULATION_FILE, Incident, Maker, SimulationResult, Status
from sentinel.times import format_age

log = logging.getLogger("sentinel.publish")

DOMAIN_FILE = "CNAME"  # GitHub writes it for a custom domain
# Files of other writers.
KEPT_FILES = (DOMAIN_FILE, FILES["monitor"], SIMULATION_FILE)
MARKET_PAGE = "market.html"
NOTHING_NEW = "nothing to publish: no run has read new figures since the last page"


def publish_site(settings: Settings, branch: PagesBranch, now: datetime) -> str:
    """Publish new figures and remove them from the state folder; return one line for the user.

    Raises ConfigurationError if the remote refuses, SentinelError if it cannot be reached.
    """
    if not settings.public_page:
        return "nothing to publish: SENTINEL_PUBLIC_PAGE is neither status nor market"
    folder = settings.state_dir / FOLDER
    status, market = _read_figures(folder)
    if status is None:
        return _publish_outage(settings, branch) or NOTHING_NEW
    with missing_packages_explained():
        from sentinel.site.site_files import SiteFigures, render_site

    from_place = _exchange(settings, status)

    def render(read: Mapping[str, bytes]) -> Mapping[str, bytes]:
        figures = SiteFigures(
            status,
            market,
            _parse(from_place or read.get(FILES["monitor"]), "monitor"),
            _parse_simulation(read.get(SIMULATION_FILE)),
            find_page_url(status.repository_url, read.get(DOMAIN_FILE)),
            settings.is_page_indexed,
        )
        if figures.other and is_silent(figures.other, now):
            age = format_age(now - figures.other.generated_at)
            log.warning("the monitor has published no status for %s: run make status at home", age)
        return render_site(figures)

    published = branch.replace_files(render, keeps=KEPT_FILES)
    for name in (FIGURES_FILE, MARKET_FILE):
        (folder / name).unlink(missing_ok=True)
    size = sum(map(len, published.values()))
    return f"published {len(published)} files on {BRANCH}, {size / 1000:.0f} kB"


def _publish_outage(settings: Settings, branch: PagesBranch) -> str | None:
    """Add the newest incident of runs to the page that is there, which stays as old as it is.

    Runs that fail read no figures. Return None if there is nothing to add.
    """
    found = find_reportable(usage_log.read(budget_monitor.log_path(settings)).usages)
    if found is None:
        return None
    with missing_packages_explained():
        from sentinel.site.site_files import render_status
    incident = Incident(**found.to_incident()._asdict())

    def add(read: Mapping[str, bytes]) -> Status | None:
        status = _parse(read.get(FILES["schedule"]), "schedule")
        changed = add_incident(status, incident) if status else None
        return None if changed == status else changed

    def render(read: Mapping[str, bytes]) -> Mapping[str, bytes]:
        status = add(read)
        if status is None:
            return {}
        return render_status(
            status,
            _parse(read.get(FILES["monitor"]), "monitor"),
            find_page_url(status.repository_url, read.get(DOMAIN_FILE)),
            has_market=MARKET_PAGE in read,
            is_indexed=settings.is_page_indexed,
        )

    if add(branch.read_files([FILES["schedule"]])) is None:
        return None
    branch.replace_files(render)
    return f"published an incident on {BRANCH}"


def _read_figures(folder: Path) -> tuple[Status | None, Market | None]:
    """Return what the last run left. Raises ConfigurationError if it cannot be read."""
    try:
        status = Status.model_validate_json((folder / FIGURES_FILE).read_bytes())
        if not (folder / MARKET_FILE).exists():
            return status, None
        return status, TypeAdapter(Market).validate_json((folder / MARKET_FILE).read_bytes())
    except FileNotFoundError:
        return None, None
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"The figures in {folder} cannot be read ({describe_error(error)}): delete that folder."
        ) from error


def find_page_url(repository_url: str | None, domain: bytes | None) -> str | None:
    """Return where GitHub Pages serves the page; None if it is not known."""
    host = (domain or b"").decode(errors="replace").strip()
    if re.fullmatch(r"[\w-]+(\.[\w-]+)+", host, re.ASCII):
        return f"https://{host}/"
    found = re.fullmatch(r"https://github\.com/([\w-]+)/([\w.-]+)", repository_url or "", re.ASCII)
    if not found:
        return None
    owner, name = found[1].lower(), found[2]
    own_host = f"{owner}.github.io"
    return f"https://{own_host}/" if name.lower() == own_host else f"https://{own_host}/{name}/"


def _exchange(settings: Settings, status: Status) -> bytes | None:
    """Write `status.json` to SENTINEL_PUBLISH_URL and return `monitor.json` from there."""
    try:
        place = open_place(settings)
        if place is None or isinstance(place, BranchPlace):  # the page itself is on the branch
            return None
        content = status.model_dump_json(indent=1).encode()
        return place.exchange(FILES["schedule"], content, FILES["monitor"])
    except (SentinelError, OSError) as error:
        log.warning("status.json was not written to SENTINEL_PUBLISH_URL: %s", error)
        return None


def _parse(content: bytes | None, maker: Maker) -> Status | None:
    try:
        return parse_document(content, maker) if content else None
    except DocumentInvalid as error:
        log.warning("the page is made without the %s: %s", maker, error)
        return None


def _parse_simulation(content: bytes | None) -> SimulationResult | None:
    try:
        return SimulationResult.model_validate_json(content) if content else None
    except ValueError:
        log.warning("the page is made without the simulation: simulation.json is damaged")
        return None


def main() -> int:
    """Publish the page; an error is a warning, with its exit code."""
    parser = make_parser(
        "python -m pipeline.publish_site",
        __doc__,
        "example: python -m pipeline.publish_site; GITHUB_TOKEN is used if it is set",
    )
    parser.parse_args()
    try:
        branch = PagesBranch.of_clone(ROOT, os.environ)
        print(publish_site(load_settings(), branch, datetime.now(UTC)))
    except SentinelError as error:
        log.warning("the page was not published: %s", error)
        return error.exit_code
    except OSError as error:
        log.warning("the page was not published: %s.", describe_os_error(error))
        return ConfigurationError.exit_code
    return EXIT_OK


if __name__ == "__main__":
    run_as_script(main)
