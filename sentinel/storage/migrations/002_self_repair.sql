-- Repairing itself: which gaps were given up, and which runs left no trace here.

-- Gaps that cannot be repaired, or no further, and why; so that no credit is spent on them twice.
-- With a time in `until` the verdict holds until then only.
CREATE TABLE unfillable_gaps (
    start      timestamptz NOT NULL,
    stop       timestamptz NOT NULL,
    decided_at  timestamptz NOT NULL,
    until      timestamptz,
    coin_key   integer NOT NULL,
    reason     text NOT NULL,
    PRIMARY KEY (coin_key, start)
);

-- Runs since the run before that did not reach the database: skipped for the budget, or failed. And
-- what of a run's credits went into repairs.
ALTER TABLE pipeline_runs
    ADD COLUMN unrecorded_runs      integer NOT NULL DEFAULT 0,
    ADD COLUMN backfill_credits integer NOT NULL DEFAULT 0;
