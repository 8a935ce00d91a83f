"""Which function answers which command and which button."""

from __future__ import annotations

import logging
from collections.abc import Callable

from sentinel.coin_names import is_valid_id
from sentinel.notifications.messages import MessageFormatter
from services.api_client import ApiUnreachable, RequestRejected
from services.telegram import (
    coin_answers,
    mute_answers,
    portfolio_answers,
    status_answers,
    target_answers,
)
from services.telegram.conversation import Context, Reply, RequestRefused, translate
from services.telegram.updates import Request

log = logging.getLogger("sentinel.telegram")

Answer = Callable[[Context, str], Reply]

# In the order of the menu: the function, and an example if the command needs more words.
COMMANDS: dict[str, tuple[Answer, str]] = {
    "price": (coin_answers.answer_price, "/price BTC"),
    "portfolio": (portfolio_answers.answer_portfolio, ""),
    "alerts": (coin_answers.answer_alerts, ""),
    "chart": (coin_answers.answer_chart, "/chart BTC 7d"),
    "target": (target_answers.answer_target, "/target BTC 100000"),
    "targets": (target_answers.answer_targets, ""),
    "mute": (mute_answers.answer_mute, "/mute BTC 1d"),
    "unmute": (mute_answers.answer_unmute, "/unmute BTC"),
    "status": (status_answers.answer_status, ""),
    "help": (lambda context, _: _answer_help(context), ""),
}

# Other names of commands.
ALIASES = {"start": "help"}

BUTTONS: dict[str, Answer] = {
    "mute": mute_answers.mute,
    "unmute": mute_answers.unmute,
    "chart": coin_answers.answer_chart,
    "save": target_answers.save_target,
    "delete": target_answers.ask_to_delete,
    "delete-yes": target_answers.delete_target,
    "cancel": lambda context, _: Reply(context.text("nothing_changed"), is_edit=True),
}

# Their data ends in a coin's id.
COIN_BUTTONS = ("mute", "unmute", "chart", "why")


def list_menu(formatter: MessageFormatter) -> dict[str, str]:
    """Return what each command does."""
    return {name: translate(formatter, f"menu_{name}") for name in COMMANDS}


def answer(context: Context, request: Request) -> Reply:
    """Return the answer to a command or to a pressed button.

    Raises RequestRefused: then the caller undoes what was written.
    """
    try:
        if request.query_id is not None:
            return _answer_button(context, request)
        return _answer_command(context, request.text)
    except (ApiUnreachable, RequestRejected) as error:
        log.warning("the API did not answer a command: %s", error)
        raise RequestRefused(context.text("api_down")) from error


def _answer_command(context: Context, text: str) -> Reply:
    name, argument = parse_command(text)
    name = ALIASES.get(name, name)
    if name not in COMMANDS:
        return Reply(context.text("unknown_command"))
    function, example = COMMANDS[name]
    if example and not argument:
        return Reply(context.text("usage", example=example))
    return function(context, argument)


def parse_command(text: str) -> tuple[str, str]:
    """Return a command's name without / and @botname, and the words after it."""
    first, *words = text.split()
    name = first.removeprefix("/").partition("@")[0].lower() if first.startswith("/") else ""
    return name, " ".join(words)


def _answer_button(context: Context, request: Request) -> Reply:
    name, _, data = request.text.partition(":")
    kind, _, coin_id = data.partition(":") if name == "why" else ("", "", data)
    if name in COIN_BUTTONS and not is_valid_id(coin_id):
        return Reply(context.text("old_button"))
    if name == "why" and kind in ("panic", "reversal"):
        return coin_answers.answer_why(context, kind, coin_id, request.sent_at)
    if name not in BUTTONS:
        return Reply(context.text("old_button"))
    return BUTTONS[name](context, data)


def _answer_help(context: Context) -> Reply:
    menu = list_menu(context.formatter)
    lines = [f"/{name}: {text}" for name, text in menu.items()]
    return Reply(
        "\n".join([*lines, "", context.text("help_end")]), title=context.text("help_title")
    )
