-- Forecasts and their track record.

CREATE TYPE sentinel.forecast_direction AS ENUM ('bullish', 'bearish', 'neutral');

-- Half of each page stays free, so that scoring a forecast finds room beside it.
CREATE TABLE sentinel.forecasts (
    made_at          timestamptz NOT NULL,
    due_at           timestamptz NOT NULL,
    price_usd        double precision NOT NULL,
    -- Slope of the logarithm of the price.
    slope_per_minute double precision NOT NULL,
    predicted_usd    double precision NOT NULL,
    -- The interval; NULL while too few errors are known.
    low_usd          double precision,
    high_usd         double precision,
    -- The price that was observed at `due_at`.
    actual_usd       double precision,
    coin_key         integer NOT NULL,
    direction        sentinel.forecast_direction NOT NULL,
    PRIMARY KEY (coin_key, made_at)
) WITH (fillfactor = 50);
CREATE INDEX forecasts_made_at ON sentinel.forecasts (made_at);

-- Scored forecasts of an hour, as sums. Errors are of the logarithm of the price.
CREATE TABLE sentinel.forecast_scores (
    hour            timestamptz NOT NULL,
    abs_error       double precision NOT NULL,
    -- The error of a forecast that expects no change.
    abs_no_change   double precision NOT NULL,
    coin_key        integer NOT NULL,
    scored          integer NOT NULL,
    -- Forecasts with a direction, and those that were right.
    directional     integer NOT NULL,
    hits            integer NOT NULL,
    -- Forecasts with an interval, and those whose interval held the price.
    with_interval   integer NOT NULL,
    within_interval integer NOT NULL,
    PRIMARY KEY (coin_key, hour)
);
CREATE INDEX forecast_scores_hour ON sentinel.forecast_scores (hour);
