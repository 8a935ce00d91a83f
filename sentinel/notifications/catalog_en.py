"""The texts of all messages in English."""

from __future__ import annotations

TEXTS = {
    "panic": "{coin} fell {move} below its high",
    "reversal": "{coin} rose {move} above its low",
    "panic_week": "{coin} fell {move} below its high of the week",
    "reversal_week": "{coin} rose {move} above its low of the week",
    "panic_peg": "{coin} is {move} below $1",
    "reversal_peg": "{coin} is {move} above $1",
    "peg_again": "{coin} is near $1 again",
    "panic_outage": "The high is from before a time without prices: the fall may be hours old.",
    "reversal_outage": ("The low is from before a time without prices: the rise may be hours old."),
    "panic_mark": "High: {price} on {time}",
    "reversal_mark": "Low: {price} on {time}",
    "price": "Price: {value}",
    "in_rupiah": "In rupiah: {value}",
    "day_change": "In 24 hours: {change}",
    "unusual": "That is unusual for this coin: its alerts begin at {threshold}.",
    "panic_level": "It is alert {level} of this fall.",
    "reversal_level": "It is alert {level} of this rise.",
    "reason_panic": (
        "It fell {move} in {time} from its high of {price}, the highest price {span}; its alerts "
        "begin at {threshold}"
    ),
    "reason_reversal": (
        "It rose {move} in {time} from its low of {price}, the lowest price {span}; its alerts "
        "begin at {threshold}"
    ),
    "reason_panic_peg": "It was {move} below its peg of {price}; its alerts begin at {threshold}",
    "reason_reversal_peg": (
        "It was {move} above its peg of {price}; its alerts begin at {threshold}"
    ),
    "reason_peg_again": "It came back to its peg: {move} from {price}, the price furthest from it.",
    "reason_level": ", and this is alert {level} of the move",
    "span_window": "of the last {window}",
    "span_week": "of the week",
    "span_outage": "before a time without prices",
    "span_peg": "",
    "holding": "You hold {quantity} {symbol}: {value}, {change} since then",
    "holding_at_peg": "You hold {quantity} {symbol}: {value}, {change} against $1 each",
    "holding_value": "You hold {quantity} {symbol}: {value}",
    "no_rate": "no exchange rate",
    "follow_up_one": "{coin}, a day after the alert: {change}",
    "follow_up_many": "A day after {count} alerts",
    "follow_up_panic": (
        "{symbol} fell {move} to {price} on {time}. A day later: {later} ({change})"
    ),
    "follow_up_reversal": (
        "{symbol} rose {move} to {price} on {time}. A day later: {later} ({change})"
    ),
    "market_panic": "Market-wide move: {count} of {watched} watched coins fell",
    "market_reversal": "Market-wide move: {count} of {watched} watched coins rose",
    "target_above": "{name} ({symbol}) reached your target: {line} or more",
    "target_below": "{name} ({symbol}) reached your target: {line} or less",
    "target_above_late": "{name} ({symbol}) was at your target: {line} or more",
    "target_below_late": "{name} ({symbol}) was at your target: {line} or less",
    "target_late": "It crossed on {time}, at {price}. This was noticed late.",
    "target_repeats": "This target repeats. It waits until the price has returned.",
    "price_now": "Price now: {value}",
    "within": "Within {minutes} minutes these coins moved unusually far:",
    "more": "and {count} more coins",
    "backup_failed": "Market Sentinel: the backup failed",
    "backup_failed_body": ("{problem}\nLast verified backup: {last}. No older backup was deleted."),
    "no_prices": "Market Sentinel: no prices for {minutes} minutes",
    "no_prices_body": (
        "{problem}\nThe last price is of {begin}. There are no alerts without new prices."
    ),
    "no_newer_price": "CoinGecko answers, but it sends no newer prices.",
    "prices_again": "Market Sentinel: prices again, {minutes} minutes missed",
    "prices_again_body": (
        "No price was observed from {begin} to {end}. Prices that are filled in later trigger "
        "no alerts."
    ),
    "target_fails": "Market Sentinel: {label} accepts no messages",
    "target_fails_body": (
        "{error}\nMessages that wait: {waiting}, the oldest since {begin}. Check ALERT_URLS, "
        "TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID."
    ),
    "target_works": "Market Sentinel: {label} accepts messages again",
    "target_works_body": "It accepted none from {begin} to {end}. They are sent now.",
    "disk_full": "Market Sentinel: the disk is almost full",
    "disk_full_body": (
        "{free} GB ({share}) are free in the state folder. Prices and alerts stop when the "
        "disk is full: delete files there, or move the folder to a larger disk.\n{end}"
    ),
    "disk_free": "Market Sentinel: the disk has space again",
    "disk_free_body": "{free} GB ({share}) are free. It was almost full from {begin} to {end}.",
    "schedule_silent": "Market Sentinel: no scheduled run for {hours} hours",
    "schedule_silent_body": (
        "The last run is of {begin}. Look at the schedule: GitHub may have disabled the "
        "workflow (Actions page)."
    ),
    "schedule_again": "Market Sentinel: scheduled runs again, {hours} hours missed",
    "schedule_again_body": "No scheduled run came from {begin} to {end}.",
    "not_published": "Market Sentinel: the status is not published any more",
    "not_published_body": (
        "{problem}\nThe public page shows old figures of this monitor since {begin}. Check "
        "SENTINEL_PUBLISH_URL: make doctor."
    ),
    "published_again": "Market Sentinel: the status is published again",
    "published_again_body": "Nothing was published from {begin} to {end}.",
    "rejections": "Market Sentinel: more coins than usual are rejected or missing",
    "rejections_body": (
        "In the last 24 hours:\n{reasons}\nWhat CoinGecko sent: python -m pipeline.quarantine list"
    ),
    "failing_coins": "- {reason}: {coins} of {requested} coins, usually {usual}",
    "rejections_end": "Market Sentinel: no more coins than usual are rejected or missing",
    "rejections_end_body": "There were more from {begin} to {end}.",
    "run_warnings": "Market Sentinel: the scheduled run has warnings",
    "summary": "Daily summary, {time}",
    "summary_late": "Daily summary, {time} (late: it was planned for {planned})",
    "summary_priced_at": "Prices of {time}",
    "summary_net_worth": "Net worth: {value}",
    "summary_rupiah": "In rupiah: {value}",
    "summary_no_rate": "In rupiah: unknown, there is no rate of the last day",
    "summary_change": "{value}, {change} in 24 hours",
    "summary_without": "Without {coins}: no price of the last day",
    "summary_without_change": "Change without {coins}: no price of 24 hours ago",
    "summary_rises": "Largest rises in 24 hours: {moves}",
    "summary_falls": "Largest falls in 24 hours: {moves}",
    "summary_stale": "price of {time}",
    "summary_alerts": "Alerts in 24 hours: {count}",
    "summary_alerts_none": "Alerts in 24 hours: none",
    "summary_alerts_before": "Alerts of the day before: {count}",
    "summary_fall": "{symbol} fell {move} at {time}",
    "summary_rise": "{symbol} rose {move} at {time}",
    "summary_higher_now": "{change} higher now",
    "summary_lower_now": "{change} lower now",
    "summary_unchanged_now": "unchanged now",
    "summary_higher_later": "{change} higher a day later",
    "summary_lower_later": "{change} lower a day later",
    "summary_unchanged_later": "unchanged a day later",
    "summary_target_above": "Price target reached: {symbol} above {price} at {time}",
    "summary_target_below": "Price target reached: {symbol} below {price} at {time}",
    "summary_runs": "Runs in 24 hours: {delivered} of {expected}, longest pause {pause}",
    "summary_history": (
        "Price history of the last week: {observed_share} observed, {backfilled_share} "
        "backfilled, {open_share} missing"
    ),
    "summary_quotas": "Quotas: all last the month, highest: {quotas} by its end",
    "summary_quotas_exceeded": "Quotas to watch: {quotas} by the month's end",
    "neon_compute_hours": "Neon compute hours",
    "neon_storage_bytes": "Neon storage",
    "neon_egress_bytes": "Neon data transfer",
    "coingecko_credits": "CoinGecko credits",
    "actions_minutes": "GitHub Actions minutes",
    "summary_backup": "Last verified backup: {age} ago",
    "summary_healthy": "Health: everything is well",
    "summary_problems": "Health: needs attention",
    "late": "Late ({time}): {title}",
    "digest_alerts": "While you were away: {count} alerts",
    "digest_messages": "While you were away: {count} messages",
    "digest_head": "From {begin} to {end}, the last of each coin:",
    "digest_count": "{count} messages",
    "digest_price": "now {price}",
    "digest_more": "and {count} more",
    "none": "none",
    "button_mute": "Mute 1 day",
    "button_why": "Why?",
    "button_chart": "Chart",
    "test": "Market Sentinel: test message",
    "test_body": "This channel works. Alerts will arrive here.",
}
