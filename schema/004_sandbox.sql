-- What outlives the retention: which days are archived, and the wallets of the sandbox.

-- One row a day in the archive: the file's digest and size there, and what the day held here when it
-- was written, so that a day that has changed since is written again before it is dropped.
CREATE TABLE archived_days (
    archived_at timestamptz NOT NULL,
    rows        bigint NOT NULL,
    bytes       bigint NOT NULL,
    held_rows   bigint NOT NULL,
    day         date PRIMARY KEY,
    sha256      text NOT NULL,
    held_digest text NOT NULL,
    place       text NOT NULL
);
