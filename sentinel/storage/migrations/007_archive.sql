-- Which days the archive holds. A row says what the database held of the day when its file was
-- written, so that a day that has changed since is written again before it is dropped.

CREATE TABLE sentinel.archived_days (
    archived_at   timestamptz NOT NULL,
    -- Rows and bytes of the file.
    rows          bigint NOT NULL,
    size_bytes    bigint NOT NULL,
    -- Rows and digest of the day in the database.
    source_rows   bigint NOT NULL,
    day           date PRIMARY KEY,
    sha256        text NOT NULL,
    source_digest text NOT NULL,
    location      text NOT NULL
);
