-- Coins and their prices. Prices, market capitalizations and volumes are in USD.

CREATE TYPE sentinel.observation_source AS ENUM ('observed', 'backfilled');

-- One row for each coin, with its latest observation beside it: a query for the newest prices reads
-- no history. Half of each page stays free. Every run changes the latest observation, and an update
-- that finds room on its own page leaves no work for vacuum.
CREATE TABLE sentinel.coins (
    observed_at    timestamptz,
    price_usd      double precision,
    market_cap_usd double precision,
    volume_24h_usd double precision,
    coin_key       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rank           integer,
    source         sentinel.observation_source,
    coin_id        text NOT NULL UNIQUE,
    symbol         text NOT NULL,
    name           text NOT NULL
) WITH (fillfactor = 50);

-- The price history: one partition for each UTC day (sentinel/storage/partitions.py creates them).
-- Eight-byte columns come first and the integer key and the enum last, so that alignment wastes no
-- byte.
CREATE TABLE sentinel.observations (
    observed_at    timestamptz NOT NULL,
    price_usd      double precision NOT NULL,
    -- NULL where CoinGecko does not know the value.
    market_cap_usd double precision,
    volume_24h_usd double precision,
    coin_key       integer NOT NULL,
    source         sentinel.observation_source NOT NULL DEFAULT 'observed',
    PRIMARY KEY (coin_key, observed_at)
) PARTITION BY RANGE (observed_at);

CREATE TABLE sentinel.fx_rates (
    observed_at timestamptz NOT NULL,
    -- What one USD costs in `currency` (ISO 4217, lower case).
    per_usd     double precision NOT NULL,
    currency    text NOT NULL,
    PRIMARY KEY (currency, observed_at)
);
