"""Renders the pages with Jinja2. Pure: values in, texts out."""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from sentinel.site import formatting, labels

_FOLDER = Path(__file__).parent
# `form-action` and `base-uri` do not follow `default-src`.
_POLICY = (
    "default-src 'none'; style-src 'sha256-{digest}'; script-src 'self'; img-src 'self';"
    " base-uri 'none'; form-action 'none'"
)
_FILTERS = {
    "bytes": formatting.format_bytes,
    "count": formatting.format_count,
    "day": formatting.format_day,
    "duration": formatting.format_duration,
    "maker": labels.describe_maker,
    "minute": formatting.format_minute,
    "plural": formatting.format_plural,
    "repository_name": labels.name_repository,
    "share": formatting.format_share,
}


def render(template: str, **values: Any) -> str:
    """Return one page. `root` is the way from the page's folder to that of `index.html`."""
    return _environment().get_template(template).render({"root": "", **values})


def read_assets() -> dict[str, str]:
    """Return the files that every page loads, by their names. Raises OSError."""
    return {name: (_FOLDER / name).read_text() for name in ("site.js", "icon.svg")}


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("sentinel.site"),
        autoescape=True,  # coins' names are chosen by strangers
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    css = (_FOLDER / "site.css").read_text()
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = _POLICY.format(digest=digest)
    environment.filters |= _FILTERS
    environment.globals |= {"css": css, "content_policy": policy}
    return environment
