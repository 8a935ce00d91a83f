-- What a run changed in the registry, and how it ended. Earlier runs did not record it.

ALTER TABLE sentinel.pipeline_runs
    -- Ids of coins that became inactive, and of inactive coins that became active again.
    ADD COLUMN deactivated text[] NOT NULL DEFAULT '{}',
    ADD COLUMN reactivated text[] NOT NULL DEFAULT '{}',
    -- As of `recorded_at`; NULL: unknown.
    ADD COLUMN exit_code   integer;
