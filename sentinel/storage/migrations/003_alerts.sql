-- Alerts, and the messages on their way to people.

CREATE TYPE sentinel.alert_kind AS ENUM ('panic', 'reversal');

-- The state of each watched coin's tracker (sentinel/analytics/alerts.py).
CREATE TABLE sentinel.alert_trackers (
    calibrated_at        timestamptz,
    -- Thresholds in standard deviations of the coin's volatility, as calibrated.
    threshold_multiplier double precision,
    -- Alerts a week: what the settings ask for, and what the coin's own history gave.
    target_rate          double precision,
    actual_rate          double precision,
    -- In force now: a fraction of the price, and the multiplier behind it.
    threshold            double precision NOT NULL,
    effective_multiplier double precision NOT NULL,
    coin_key             integer PRIMARY KEY,
    state                jsonb NOT NULL
);

CREATE TABLE sentinel.alerts (
    alert_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    observed_at   timestamptz NOT NULL,
    reference_at  timestamptz NOT NULL,
    price_usd     double precision NOT NULL,
    -- The high-water or low-water mark that `move` and `threshold` are fractions of.
    reference_usd double precision NOT NULL,
    move          double precision NOT NULL,
    threshold     double precision NOT NULL,
    -- How far the price moved on after the alert, as fractions of `price_usd`.
    after_1h      double precision,
    after_24h     double precision,
    coin_key      integer NOT NULL,
    -- 1 for the first alert in one direction, 2 for the next, and so on.
    level         integer NOT NULL,
    kind          sentinel.alert_kind NOT NULL,
    UNIQUE (coin_key, kind, observed_at)
);
CREATE INDEX alerts_observed_at ON sentinel.alerts (observed_at);

-- One row for each message and target.
CREATE TABLE sentinel.outbox (
    message_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at   timestamptz NOT NULL,
    due_at       timestamptz NOT NULL,
    delivered_at timestamptz,
    -- The target refused the message again and again.
    abandoned_at timestamptz,
    attempts     integer NOT NULL DEFAULT 0,
    -- A fingerprint of the target's address: addresses hold secrets.
    target       text NOT NULL,
    -- Messages of one queue (a coin, or 'market') keep their order.
    queue        text NOT NULL,
    -- A message with this key is sent once.
    message_key  text NOT NULL,
    title        text NOT NULL,
    body         text NOT NULL,
    last_error   text,
    UNIQUE (target, message_key)
);
CREATE INDEX outbox_waiting ON sentinel.outbox (target, message_id)
    WHERE delivered_at IS NULL AND abandoned_at IS NULL;

CREATE TABLE sentinel.alert_targets (
    target      text PRIMARY KEY,
    -- The target asked for this pause, or did not respond `failures` times in a row.
    retry_after timestamptz NOT NULL,
    failures    integer NOT NULL,
    -- When the last messages were sent to it, the latest first.
    tried_at    timestamptz[] NOT NULL
);
