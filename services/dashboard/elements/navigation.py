"""What Streamlit's navigation lacks on a phone: the name of the page, and a menu that closes."""

from __future__ import annotations

import html

import streamlit as st

from services.dashboard.server.static_files import make_loader

_mount = st.components.v2.component(
    "sentinel_navigation", js=make_loader("navigation"), isolate_styles=False
)


def show_page_name(name: str) -> None:
    """Show a page's name in the page's header; the stylesheet hides it beside a navigation."""
    st.html(f'<span class="ms-page-name">{html.escape(name)}</span>')
    _mount(key="navigation")
