"""Paths in messages that the API shows: relative to the project, without this machine's folders."""

from __future__ import annotations

import re
from pathlib import Path

from safe_zone import Settings


def shorten_paths(text: str, settings: Settings) -> str:
    """Return a message without the folders that hold the state folder, the project and the home.

    The log has the whole message. Folders elsewhere stay: the user chose them.
    """
    project, state = Path.cwd(), settings.state_dir.resolve()
    state_name = state.relative_to(project) if state.is_relative_to(project) else state.name
    names = {state: str(state_name), project: ".", Path.home(): "~"}
    for folder, name in names.items():
        if len(folder.parts) > 1:  # a process may run in /
            # Other folders whose name begins alike stay; a template would read backslashes.
            parts = re.split(re.escape(str(folder)) + r"(?![\w-])", text)
            text = name.join(parts)
    return text
