-- Repairing itself: which gaps were given up, and which scheduled runs the budget skipped.

-- Gaps that cannot be repaired, or no further, and why; so that no credit is spent on them twice.
CREATE TABLE given_up_gaps (
    start      timestamptz NOT NULL,
    stop       timestamptz NOT NULL,
    judged_at  timestamptz NOT NULL,
    coin_key   integer NOT NULL REFERENCES coins,
    reason     text NOT NULL,
    PRIMARY KEY (coin_key, start)
);

-- Scheduled runs that the budget skipped since the run before: they woke no database.
ALTER TABLE pipeline_runs ADD COLUMN runs_skipped integer NOT NULL DEFAULT 0;
