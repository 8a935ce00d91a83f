-- The last activity of each process (sentinel/storage/service_status.py).

CREATE TABLE sentinel.service_status (
    service     text PRIMARY KEY,
    recorded_at timestamptz NOT NULL,
    state       jsonb NOT NULL
);
