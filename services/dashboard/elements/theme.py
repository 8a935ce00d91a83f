"""The look of the dashboard: Streamlit's theme options, and the page's stylesheet.

Colors of text have a contrast of at least 4.5 to their ground (WCAG 2.2, 1.4.3). The public page
has the same palette (sentinel/static/base.css).
"""

from __future__ import annotations

import functools
from pathlib import Path

import streamlit as st

from sentinel import static_files

STYLESHEET = Path(__file__).parents[1] / "static" / "dashboard.css"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
HEADING_SIZES = ["1.35rem", "1.15rem", "1.02rem", "1rem", "0.95rem", "0.9rem"]

# https://docs.streamlit.io/develop/api-reference/configuration/config.toml
THEME_OPTIONS = {
    "theme.font": FONT,
    "theme.headingFont": FONT,
    "theme.baseFontSize": 14,
    "theme.headingFontSizes": HEADING_SIZES,
    "theme.headingFontWeights": [650, 650, 600, 600, 600, 600],
    "theme.metricValueFontSize": "1.25rem",
    "theme.metricValueFontWeight": 600,
    "theme.baseRadius": "6px",
    "theme.paddingBottom": "2rem",
    "theme.showWidgetBorder": True,
    "theme.light.primaryColor": "#0b5aa8",
    "theme.light.backgroundColor": "#ffffff",
    "theme.light.secondaryBackgroundColor": "#f1f4f7",
    "theme.light.textColor": "#1a222c",
    "theme.light.linkColor": "#0b5aa8",
    "theme.light.borderColor": "#dde2e8",
    "theme.light.greenTextColor": "#167a50",
    "theme.light.redTextColor": "#b9302a",
    "theme.light.orangeTextColor": "#8a5800",
    "theme.light.grayTextColor": "#566170",
    "theme.dark.primaryColor": "#7db7f7",
    "theme.dark.backgroundColor": "#0e1319",
    "theme.dark.secondaryBackgroundColor": "#18202a",
    "theme.dark.textColor": "#e3e8ee",
    "theme.dark.linkColor": "#7db7f7",
    "theme.dark.borderColor": "#28323d",
    "theme.dark.greenTextColor": "#41b883",
    "theme.dark.redTextColor": "#f2847a",
    "theme.dark.orangeTextColor": "#dcab4c",
    "theme.dark.grayTextColor": "#9aa6b4",
}


def apply_stylesheet() -> None:
    """Add the stylesheet to the page. Streamlit puts it where it takes no room."""
    st.html(_read_style())


@functools.cache
def _read_style() -> str:
    own = STYLESHEET.read_text(encoding="utf-8")
    return f"<style>{static_files.read('chart.css')}{own}</style>"
