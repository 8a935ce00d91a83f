-- What the pipeline stores. Applied once, in one transaction, by tables.init_db.

CREATE TYPE observation_source AS ENUM ('observed', 'backfilled');

-- One row a coin, with its latest observation beside it, so that "the newest price of everything"
-- never walks the history. Half of each page stays free: the latest observation changes with every
-- run, and an update that finds room on its own page leaves nothing behind for vacuum.
CREATE TABLE coins (
    observed_at timestamptz,
    price       double precision,
    market_cap  double precision,
    volume_24h  double precision,
    coin_key    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rank        integer,
    source      observation_source,
    coin_id     text NOT NULL UNIQUE,
    symbol      text NOT NULL,
    name        text NOT NULL
) WITH (fillfactor = 50);

-- The history, one partition a UTC day (made by tables.ensure_days). Eight-byte columns
-- first, the integer key and the enum last: no byte is lost to alignment.
CREATE TABLE observations (
    observed_at timestamptz NOT NULL,
    price       double precision NOT NULL,
    market_cap  double precision,
    volume_24h  double precision,
    coin_key    integer NOT NULL,
    source      observation_source NOT NULL DEFAULT 'observed',
    PRIMARY KEY (coin_key, observed_at)
) PARTITION BY RANGE (observed_at);

-- What people query. Days are dropped whole, so a day that is partly older than the retention is
-- still on disk; here it ends to the second.
CREATE VIEW market_data AS
SELECT c.coin_id, c.symbol, o.price, o.market_cap, o.volume_24h, o.observed_at AS "timestamp", o.source
FROM observations o
JOIN coins c USING (coin_key)
WHERE o.observed_at >= now() - interval '60 days';

CREATE TABLE pipeline_runs (
    run_id          text PRIMARY KEY,
    started_at      timestamptz NOT NULL,
    recorded_at     timestamptz NOT NULL,
    mode            text NOT NULL,
    status          text NOT NULL,
    targets         integer NOT NULL,
    rows_valid      integer NOT NULL,
    rows_inserted   integer NOT NULL,
    rows_updated    integer NOT NULL,
    rows_unchanged  integer NOT NULL,
    rows_backfilled integer NOT NULL,
    rows_drained    integer NOT NULL,
    rejected        jsonb NOT NULL,
    missing         text[] NOT NULL,
    api_calls       integer NOT NULL,
    api_credits     integer NOT NULL,
    db_seconds      double precision NOT NULL,
    purged_rows     bigint NOT NULL
);
CREATE INDEX pipeline_runs_started_at ON pipeline_runs (started_at);

-- Answers that were no rows, as they came.
CREATE TABLE rejections (
    rejected_at timestamptz NOT NULL,
    run_id      text NOT NULL,
    coin_id     text NOT NULL,
    reason      text NOT NULL,
    raw         text NOT NULL,
    PRIMARY KEY (run_id, coin_id)
);

CREATE TABLE fx_rates (
    observed_at timestamptz NOT NULL,
    per_usd     double precision NOT NULL,
    currency    text NOT NULL,
    PRIMARY KEY (currency, observed_at)
);
