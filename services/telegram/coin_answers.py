"""Answers about coins: price, alerts, why an alert was sent, chart."""

from __future__ import annotations

from datetime import datetime, timedelta

from sentinel.analytics.peg import PEG_USD
from sentinel.notifications.messages import format_coin
from services.api_client import Json, quote_segment
from services.telegram import chart
from services.telegram.conversation import Context, Reply, RequestRefused
from services.telegram.durations import parse_duration
from services.telegram.find_coin import FoundCoin, find_coin, label_coin

SHOWN_ALERTS = 6
MAX_CHART_SPAN = timedelta(days=366)
DAY = timedelta(days=1)
# A price of "24 hours ago" may be this much newer or older.
DAY_TOLERANCE = timedelta(hours=2)


def answer_price(context: Context, argument: str) -> Reply:
    """Return a coin's price, with its change and its age."""
    found = find_coin(context, argument)
    coin, rate = found.coin, context.read("/rates")["idr_per_usd"]
    lines = [context.format_both(coin["price_usd"], rate), _describe_change(context, coin)]
    if coin["market_cap_usd"]:
        amount = context.formatter.format_compact_usd(coin["market_cap_usd"])
        lines.append(context.text("market_cap", amount=amount))
    lines.append(context.text("observed", age=context.describe_time(coin["observed_at"])))
    return Reply("\n".join([*lines, *found.notes]), title=found.label)


def _describe_change(context: Context, coin: Json) -> str:
    """Return the change of the last day before the newest price."""
    newest = datetime.fromisoformat(coin["observed_at"])
    start, end = newest - DAY - DAY_TOLERANCE, newest - DAY + DAY_TOLERANCE
    path = f"/coins/{quote_segment(coin['coin_id'])}/history"
    span = {"start": start.isoformat(), "end": end.isoformat()}
    points = context.read(path, resolution="5m", **span)["points"]
    times = {datetime.fromisoformat(point["observed_at"]): point["price_usd"] for point in points}
    if not times:
        return context.text("no_change")
    before = min(times, key=lambda at: abs(newest - DAY - at))
    change = coin["price_usd"] / times[before] - 1
    hours = round((newest - before) / timedelta(hours=1))
    text = context.formatter.format_percent(change, signed=True)
    return context.text("change", hours=hours, change=text)


def answer_alerts(context: Context, argument: str) -> Reply:
    """Return the last alerts, of one coin or of all."""
    found = find_coin(context, argument) if argument else None
    query = {"coin_id": found.coin_id} if found else {}
    alerts = context.read("/alerts", limit=SHOWN_ALERTS, **query)["items"]
    title = context.text("alerts_of", coin=found.label) if found else context.text("alerts")
    if not alerts:
        return Reply(context.text("no_alerts"), title=title)
    lines = [f"• {_describe_alert(context, alert)}" for alert in alerts]
    return Reply("\n".join([*lines, *(found.notes if found else ())]), title=title)


def _describe_alert(context: Context, alert: Json) -> str:
    formatter = context.formatter
    line = context.text(
        f"{alert['kind']}_line",
        coin=format_coin(alert["name"], alert["symbol"]),
        move=formatter.format_percent(abs(alert["move"])),
        price=formatter.format_usd(alert["price_usd"]),
        age=context.describe_time(alert["observed_at"]),
    )
    return line if alert["is_announced"] else f"{line} ({context.text('was_muted')})"


def answer_why(context: Context, kind: str, coin_id: str, sent_at: datetime | None) -> Reply:
    """Return why an alert was sent: the newest one of its kind before the message."""
    alerts = context.read("/alerts", coin_id=coin_id, kind=kind, limit=50)["items"]
    last = sent_at or context.now
    alert = next((a for a in alerts if datetime.fromisoformat(a["observed_at"]) <= last), None)
    if alert is None:
        return Reply(context.text("alert_gone"))
    coin = context.read(f"/coins/{quote_segment(coin_id)}")
    formatter, label, level = context.formatter, label_coin(context, coin_id), f"{kind}_level"
    lines = [
        _describe_mark(context, alert),
        context.text(
            f"{kind}_move",
            move=formatter.format_percent(abs(alert["move"])),
            price=formatter.format_usd(alert["price_usd"]),
            time=context.describe_time(alert["observed_at"]),
        ),
        formatter.translate("unusual", threshold=formatter.format_percent(alert["threshold"])),
        *([formatter.translate(level, level=alert["level"])] if alert["level"] > 1 else []),
        *_describe_outcome(context, alert),
        context.text(
            "now_price",
            price=formatter.format_usd(coin["price_usd"]),
            age=context.describe_time(coin["observed_at"]),
        ),
    ]
    return Reply("\n".join(lines), title=context.text(f"why_{kind}", coin=label))


def _describe_mark(context: Context, alert: Json) -> str:
    """Return the price that the move is measured from; a peg has no time."""
    price = context.formatter.format_usd(alert["reference_usd"])
    if alert["basis"] == "peg" and alert["reference_usd"] == PEG_USD:
        return context.text("peg_mark", price=price)
    time = context.formatter.format_time(datetime.fromisoformat(alert["reference_at"]))
    return context.text(f"{alert['kind']}_mark", price=price, time=time)


def _describe_outcome(context: Context, alert: Json) -> list[str]:
    changes = [
        context.text(key, change=context.formatter.format_percent(alert[key], signed=True))
        for key in ("after_1h", "after_24h")
        if alert[key] is not None
    ]
    return [context.text("outcome", changes=", ".join(changes))] if changes else []


def answer_chart(context: Context, argument: str) -> Reply:
    """Return a chart of a coin: /chart BTC 7d."""
    term, _, last = argument.rpartition(" ")
    span = parse_duration(last, timedelta.max)
    if span is None or not term:
        term, span, last = argument, DAY, "24h"
    if span > MAX_CHART_SPAN:
        raise RequestRefused(context.text("bad_span", text=last, days=MAX_CHART_SPAN.days))
    return _draw_chart(context, find_coin(context, term), span, last)


def _draw_chart(context: Context, found: FoundCoin, span: timedelta, span_text: str) -> Reply:
    """Return a chart of a coin, with its alerts and its newest price below."""
    path = f"/coins/{quote_segment(found.coin_id)}/history"
    history = context.read(path, start=(context.now - span).isoformat())
    if not history["points"]:
        raise RequestRefused(context.text("no_history", coin=found.label))
    alerts = context.read("/alerts", coin_id=found.coin_id, limit=200)["items"]
    symbol, formatter = found.coin["symbol"].upper(), context.formatter
    name = symbol if symbol.isascii() else found.coin_id  # the font has Latin letters only
    age = context.text("observed", age=context.describe_time(found.coin["observed_at"]))
    picture = chart.draw(
        chart.ChartData(
            title=f"{context.text('chart', coin=name, span=span_text)}    {age}",
            points=[(_time(p), p["price_usd"]) for p in history["points"]],
            step=timedelta(seconds=history["step_seconds"]),
            alerts=[(_time(a), a["price_usd"], a["kind"]) for a in alerts],
            start=context.now - span,
            end=context.now,
        ),
        formatter,
    )
    price = formatter.format_usd(found.coin["price_usd"])
    lines = [f"{found.label}: {price}", age, context.text("chart_marks"), *found.notes]
    return Reply("\n".join(lines), picture=picture)


def _time(item: Json) -> datetime:
    return datetime.fromisoformat(item["observed_at"])
