-- What the pipeline records about its own runs.

CREATE TABLE sentinel.pipeline_runs (
    run_id           text PRIMARY KEY,
    started_at       timestamptz NOT NULL,
    recorded_at      timestamptz NOT NULL,
    mode             text NOT NULL,
    status           text NOT NULL,
    targets          integer NOT NULL,
    rows_valid       integer NOT NULL,
    rows_inserted    integer NOT NULL,
    rows_updated     integer NOT NULL,
    rows_unchanged   integer NOT NULL,
    rows_backfilled  integer NOT NULL,
    rows_drained     integer NOT NULL,
    rejected         jsonb NOT NULL,
    missing          text[] NOT NULL,
    api_calls        integer NOT NULL,
    api_credits      integer NOT NULL,
    db_seconds       double precision NOT NULL,
    purged_rows      bigint NOT NULL,
    -- Earlier runs that did not reach the database: skipped for the budget, or failed.
    unrecorded_runs  integer NOT NULL DEFAULT 0,
    -- The part of `api_credits` that the backfill spent.
    backfill_credits integer NOT NULL DEFAULT 0
);
CREATE INDEX pipeline_runs_started_at ON sentinel.pipeline_runs (started_at);

-- Invalid entries of CoinGecko's responses, unchanged, with the reason.
CREATE TABLE sentinel.rejections (
    rejected_at timestamptz NOT NULL,
    run_id      text NOT NULL,
    coin_id     text NOT NULL,
    reason      text NOT NULL,
    raw         text NOT NULL,
    PRIMARY KEY (run_id, coin_id)
);

-- Gaps in the history that no backfill can fill, so that no run spends a credit on them twice.
CREATE TABLE sentinel.unfillable_gaps (
    start       timestamptz NOT NULL,
    stop        timestamptz NOT NULL,
    decided_at  timestamptz NOT NULL,
    -- The backfill tries again after this time; NULL: never.
    retry_after timestamptz,
    coin_key    integer NOT NULL,
    reason      text NOT NULL,
    PRIMARY KEY (coin_key, start)
);
