"""Renders the pages with Jinja2. Pure: values in, texts out."""

from __future__ import annotations

import functools
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, **values: Any) -> str:
    """Return one page. `root` is the way from the page's folder to that of `index.html`."""
    return _environment().get_template(template).render({"root": "", **values})


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("sentinel.site"),
        autoescape=True,  # coins' names are chosen by strangers
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
