"""The status of the monitor: failing checks, the newest price, muted coins."""

from __future__ import annotations

from sentinel.alerting import mutes
from sentinel.storage import service_status
from services.api_client import HEALTH_PATH
from services.telegram.conversation import Context, Reply
from services.telegram.find_coin import label_coin


def answer_status(context: Context, _argument: str) -> Reply:
    """Return whether the monitor works: the failing checks, the newest price, the mutes."""
    health = context.read(HEALTH_PATH)
    never = context.text("never")
    ages = {
        key: context.describe_time(health[name]) if health[name] else never
        for key, name in (("newest_price", "newest_observation"), ("last_run", "last_run_at"))
    }
    lines = [
        *(
            f"• {name}: {check['message']}"
            for name, check in health["checks"].items()
            if check["state"] != "ok"
        ),
        *(context.text(key, age=age) for key, age in ages.items()),
        *_describe_mutes(context),
        *_count_strangers(context),
    ]
    return Reply("\n".join(lines), title=context.text(f"status_{health['status']}"))


def _describe_mutes(context: Context) -> list[str]:
    texts = [
        context.text(
            "muted_until",
            coin=label_coin(context, coin_id),
            time=context.formatter.format_time(until),
        )
        for coin_id, until in mutes.read_muted(context.connection, context.now).items()
    ]
    return [context.text("muted_coins", coins=", ".join(texts))] if texts else []


def _count_strangers(context: Context) -> list[str]:
    status = service_status.read(context.connection, "telegram")
    count = status.state.get("strangers") if status else None
    return [context.text("strangers", count=count)] if count else []
