-- What the monitor keeps: alerts and what they rest on, messages on their way, forecasts and their
-- scores, transactions.

CREATE TYPE alert_kind AS ENUM ('panic', 'reversal');
CREATE TYPE forecast_direction AS ENUM ('bullish', 'bearish', 'neutral');

-- The state of each watched coin's tracker (alerts.py), the k that was solved for
-- it (`achieved` alerts a week on its own history, beside `wished`), and what is in force now.
CREATE TABLE alert_trackers (
    solved_at  timestamptz,
    k          double precision,
    wished     double precision,
    achieved   double precision,
    threshold  double precision NOT NULL,
    k_in_force double precision NOT NULL,
    coin_key   integer PRIMARY KEY,
    state      jsonb NOT NULL
);

-- `move` and `threshold` are fractions of `reference`, the mark; `after_1h` and `after_24h` how far
-- the price went on from the alert, as fractions of its price.
CREATE TABLE alerts (
    alert_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    observed_at  timestamptz NOT NULL,
    reference_at timestamptz NOT NULL,
    price        double precision NOT NULL,
    reference    double precision NOT NULL,
    move         double precision NOT NULL,
    threshold    double precision NOT NULL,
    after_1h     double precision,
    after_24h    double precision,
    coin_key     integer NOT NULL,
    step         integer NOT NULL,
    kind         alert_kind NOT NULL,
    UNIQUE (coin_key, kind, observed_at)
);
CREATE INDEX alerts_observed_at ON alerts (observed_at);

-- One row a message and target; one that its target refuses again and again is given up. `queue` is what keeps its order (a coin, or 'market'), `target` a
-- fingerprint of the address, for addresses hold secrets; `message_key` what is said once.
CREATE TABLE outbox (
    message_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at   timestamptz NOT NULL,
    due_at       timestamptz NOT NULL,
    delivered_at timestamptz,
    given_up_at  timestamptz,
    attempts     integer NOT NULL DEFAULT 0,
    target       text NOT NULL,
    queue        text NOT NULL,
    message_key  text NOT NULL,
    title        text NOT NULL,
    body         text NOT NULL,
    last_error   text,
    UNIQUE (target, message_key)
);
CREATE INDEX outbox_waiting ON outbox (target, message_id)
    WHERE delivered_at IS NULL AND given_up_at IS NULL;

-- How long a target is left alone, because it asked for that or did not answer (`failures` in a
-- row); and when the last messages went out to it, the latest first.
CREATE TABLE alert_targets (
    target     text PRIMARY KEY,
    retry_after timestamptz NOT NULL,
    failures   integer NOT NULL,
    tried_at   timestamptz[] NOT NULL
);

-- What was said of a coin's price at `due_at`, and what it was. Half of each page stays free, so
-- that scoring a forecast finds room beside it.
CREATE TABLE forecasts (
    made_at   timestamptz NOT NULL,
    due_at    timestamptz NOT NULL,
    price     double precision NOT NULL,
    slope     double precision NOT NULL,
    predicted double precision NOT NULL,
    low       double precision,
    high      double precision,
    actual    double precision,
    coin_key  integer NOT NULL,
    direction forecast_direction NOT NULL,
    PRIMARY KEY (coin_key, made_at)
) WITH (fillfactor = 50);
CREATE INDEX forecasts_made_at ON forecasts (made_at);

-- Scored forecasts of an hour as sums; errors are of the logarithm of the price.
CREATE TABLE forecast_scores (
    hour            timestamptz NOT NULL,
    abs_error       double precision NOT NULL,
    abs_no_change   double precision NOT NULL,
    coin_key        integer NOT NULL,
    scored          integer NOT NULL,
    called          integer NOT NULL,
    hit             integer NOT NULL,
    banded          integer NOT NULL,
    covered         integer NOT NULL,
    PRIMARY KEY (coin_key, hour)
);
CREATE INDEX forecast_scores_hour ON forecast_scores (hour);

-- What somebody bought (a quantity above 0) and sold. `idr_per_usd` is the rupiah's rate of that
-- time, NULL where nobody knows it; `identity` a digest of all it says, so that an import adds nothing
-- twice.
CREATE TABLE transactions (
    transaction_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    made_at        timestamptz NOT NULL,
    coin_id        text NOT NULL,
    quantity       numeric NOT NULL CHECK (quantity <> 0),
    price_usd      numeric NOT NULL CHECK (price_usd >= 0),
    fee_usd        numeric NOT NULL CHECK (fee_usd >= 0),
    idr_per_usd    numeric CHECK (idr_per_usd > 0),
    note           text NOT NULL,
    identity       text UNIQUE
);
CREATE INDEX transactions_coin ON transactions (coin_id, made_at);

-- When each long-running process last did its work, and how it fares.
CREATE TABLE heartbeats (
    service text PRIMARY KEY,
    beat_at timestamptz NOT NULL,
    state   jsonb NOT NULL
);
