-- Forecast bands that follow volatility, and their scores in calm, middle and wild hours.

CREATE TYPE sentinel.volatility_class AS ENUM ('calm', 'middle', 'wild');

-- All are NULL in older rows.
ALTER TABLE sentinel.forecasts
    -- Of the last hour: root mean square change of the price's logarithm in ten minutes.
    ADD COLUMN volatility       real,
    -- Radius, in logarithms, of a band that does not depend on volatility.
    ADD COLUMN constant_radius  real,
    -- The third of the coin's last day that the volatility lies in.
    ADD COLUMN volatility_class sentinel.volatility_class;

-- Sums over the forecasts with a volatility class. `interval_score` and `constant_score` are sums of
-- interval scores: of the band, and of the band of constant radius.
ALTER TABLE sentinel.forecast_scores
    ADD COLUMN interval_score real NOT NULL DEFAULT 0,
    ADD COLUMN constant_score real NOT NULL DEFAULT 0,
    ADD COLUMN calm           smallint NOT NULL DEFAULT 0,
    ADD COLUMN within_calm    smallint NOT NULL DEFAULT 0,
    ADD COLUMN middle         smallint NOT NULL DEFAULT 0,
    ADD COLUMN within_middle  smallint NOT NULL DEFAULT 0,
    ADD COLUMN wild           smallint NOT NULL DEFAULT 0,
    ADD COLUMN within_wild    smallint NOT NULL DEFAULT 0;
