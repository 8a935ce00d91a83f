-- Periods in which the scheduled runs failed, or in which the monitor reported a fault of its own
-- (sentinel/storage/incidents.py). The public page shows them.

CREATE TABLE sentinel.incidents (
    began_at timestamptz NOT NULL,
    -- NULL: it goes on.
    ended_at timestamptz,
    source   text NOT NULL CHECK (source IN ('schedule', 'monitor')),
    incident text NOT NULL,
    -- It names no database, host, folder or user.
    summary  text NOT NULL,
    PRIMARY KEY (source, incident, began_at)
);
