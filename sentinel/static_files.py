"""Stylesheets and scripts that pages of several parts of the project have, in `static/`.

`base.css` is the look of the public page and of the sandbox's reports. `chart.css` and
CHART_SCRIPTS are the chart of the dashboard and of those reports.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "static"
# In this order they are one script. uPlot (MIT licence) is a script of its own, without exports.
CHART_SCRIPTS = (
    *("uplot.min.js", "escape.js", "chart_axes.js", "chart_drawing.js", "chart_pointer.js"),
    "chart.js",
)


def read(*names: str) -> str:
    """Return files one after another. Raises OSError."""
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)
