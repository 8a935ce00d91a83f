"""Why an alert was raised, as one sentence with the figures of its rule."""

from __future__ import annotations

from datetime import timedelta

from sentinel.analytics.crossings import Alert
from sentinel.analytics.peg import PEG_USD
from sentinel.notifications.messages import MessageFormatter


def explain_alert(alert: Alert, window: timedelta, formatter: MessageFormatter) -> str:
    """Return the move, the mark it is measured from, the threshold and the level in a sentence.

    `window` is the alert window of the settings.
    """
    price = formatter.format_usd(alert.reference_usd)
    move = formatter.format_percent(abs(alert.move))
    if alert.basis == "peg" and alert.reference_usd != PEG_USD:
        return formatter.translate("reason_peg_again", move=move, price=price)
    key = f"reason_{alert.kind}_peg" if alert.basis == "peg" else f"reason_{alert.kind}"
    span = formatter.translate(f"span_{alert.basis}", window=formatter.format_duration(window))
    text = formatter.translate(
        key,
        move=move,
        time=formatter.format_duration(alert.observed_at - alert.marked_at),
        price=price,
        span=span,
        threshold=formatter.format_percent(alert.threshold),
    )
    level = formatter.translate("reason_level", level=alert.level) if alert.level > 1 else ""
    return f"{text}{level}."
