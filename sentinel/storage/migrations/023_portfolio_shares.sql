-- Links that show the portfolio in percentages to those who have them.

CREATE TABLE sentinel.portfolio_shares (
    share_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at   timestamptz NOT NULL,
    -- NULL: until it is revoked.
    expires_at   timestamptz,
    last_used_at timestamptz,
    -- The token itself is stored nowhere.
    token_sha256 bytea NOT NULL UNIQUE CHECK (length(token_sha256) = 32),
    label        text NOT NULL CHECK (length(label) <= 100)
);
