"""The files of the public page, from the figures that they show. Pure but for `write_files`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentinel.files import replace_atomically
from sentinel.site import market_pages, page_figures, pages
from sentinel.site.badge import format_badge
from sentinel.site.feed import format_feed
from sentinel.site.market import Market
from sentinel.site.other_half import FILES
from sentinel.site.status import SimulationResult, Status
from sentinel.site.status_schema import format_schema


@dataclass(frozen=True, slots=True)
class SiteFigures:
    """All that the pages show."""

    status: Status
    # None: the page has no market part.
    market: Market | None = None
    # What the other half publishes about itself: the monitor's, on the pipeline's page.
    other: Status | None = None
    simulation: SimulationResult | None = None
    # The address of the page's folder, such as https://owner.github.io/name/; None: unknown.
    page_url: str | None = None
    # Whether search engines may show the pages.
    is_indexed: bool = False


def render_site(figures: SiteFigures) -> dict[str, bytes]:
    """Return the content of each file by its path in the page's folder."""
    shared: dict[str, Any] = {
        "status": figures.status,
        "other": figures.other,
        "has_market": figures.market is not None,
        "is_indexed": figures.is_indexed,
    }
    texts = {
        "trust.html": pages.render("trust.html", **shared, **_choose_trust(figures)),
        **pages.read_assets("site.js", "icon.svg"),
        "status.schema.json": format_schema(),
        "robots.txt": f"User-agent: *\n{'Allow' if figures.is_indexed else 'Disallow'}: /\n",
        ".nojekyll": "",  # GitHub Pages then publishes the files as they are
    }
    if figures.market is not None:
        texts |= market_pages.render_market(figures.market, shared)
    files = {path: text.encode() for path, text in texts.items()}
    return files | render_status(page_url=figures.page_url, **shared)


def render_status(
    status: Status,
    other: Status | None,
    page_url: str | None,
    *,
    has_market: bool,
    is_indexed: bool,
) -> dict[str, bytes]:
    """Return the files that show the state and the incidents. They can be replaced alone."""
    shared = {"status": status, "has_market": has_market, "is_indexed": is_indexed}
    texts = {
        "index.html": pages.render("status.html", other=other, **shared),
        FILES["schedule"]: status.model_dump_json(indent=1),
        "badge.json": format_badge(status),
        "feed.xml": format_feed(status, page_url),
    }
    return {path: text.encode() for path, text in texts.items()}


def _choose_trust(figures: SiteFigures) -> dict[str, object]:
    return {
        "trust": page_figures.choose_trust(figures.status, figures.other),
        "promised_coverage": page_figures.PROMISED_COVERAGE,
        "simulation": figures.simulation,
    }


def write_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the files into a folder, readable by all users. Raises OSError.

    Nothing waits for the disk, which would take seconds for 500 coins: the next call repeats it.
    """
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_atomically(path, content, new_mode=0o644, is_durable=False)
