"""Renders the pages with Jinja2. Pure: values in, texts out."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from sentinel import amounts, static_files
from sentinel.site import formatting, labels, page_figures, svg

_FOLDER = Path(__file__).parent
# `form-action` and `base-uri` do not follow `default-src`.
_POLICY = (
    "default-src 'none'; style-src 'sha256-{digest}'; script-src 'self'; img-src 'self';"
    " base-uri 'none'; form-action 'none'"
)
_FILTERS: Mapping[str, Callable[..., Any]] = {
    "age_beside": page_figures.format_age_beside,
    "by_severity": page_figures.sort_by_severity,
    "bytes": formatting.format_bytes,
    "capital": labels.capitalize,
    "change": functools.partial(amounts.format_percent, language="en", signed=True),
    "compact_usd": functools.partial(amounts.format_compact_amount, currency="USD", language="en"),
    "count": amounts.format_count,
    "day": formatting.format_day,
    "draw_caught": page_figures.draw_caught,
    "draw_coverage": page_figures.draw_coverage,
    "draw_days": svg.draw_days,
    "draw_hours": svg.draw_hours,
    "draw_quota": page_figures.draw_quota,
    "draw_storage": page_figures.draw_storage,
    "draw_weeks": page_figures.draw_weeks,
    "duration": formatting.format_duration,
    "full_minute": formatting.format_full_minute,
    "host": labels.name_host,
    "maker": labels.describe_maker,
    "minute": formatting.format_minute,
    "old_beside": page_figures.is_old,
    "plural": formatting.format_plural,
    "quota": formatting.format_quota,
    "quota_name": labels.name_quota,
    "quota_state": labels.rate_quota,
    "rate": formatting.format_rate,
    "reason": labels.describe_reason,
    "repository_name": labels.name_repository,
    "sentence": labels.to_sentence,
    "share": formatting.format_share,
    "span": formatting.format_span,
    "state": labels.describe_state,
    "tightest": page_figures.find_tightest,
    "words": labels.name_code,
    "direction": amounts.classify_change,
    "idr": functools.partial(amounts.format_price, currency="IDR", language="en"),
    "percent": "{:.2f}%".format,
    "usd": functools.partial(amounts.format_price, currency="USD", language="en"),
    "whole_usd": functools.partial(amounts.format_whole_amount, currency="USD", language="en"),
}


def render(template: str, **values: Any) -> str:
    """Return one page. `root` is the way from the page's folder to that of `index.html`."""
    return _environment().get_template(template).render({"root": "", **values})


def read_assets(*names: str) -> dict[str, str]:
    """Return files that pages load, by their names. Raises OSError."""
    return {name: (_FOLDER / name).read_text() for name in names}


@functools.cache
def read_style(*names: str) -> dict[str, str]:
    """Return base.css with further stylesheets, and the policy that allows it. Raises OSError."""
    css = "\n".join([static_files.read("base.css"), *read_assets(*names).values()])
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    return {"css": css, "content_policy": _POLICY.format(digest=digest)}


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("sentinel.site"),
        autoescape=True,  # coins' names are chosen by strangers
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= _FILTERS
    environment.globals |= read_style("site.css")
    return environment
