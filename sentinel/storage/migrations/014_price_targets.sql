-- The user's price targets (sentinel/alerting/price_targets.py).

CREATE TABLE sentinel.price_targets (
    target_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at    timestamptz NOT NULL,
    expires_at    timestamptz,
    -- The newest observation that was compared with the line; at first, when the target was created.
    checked_at    timestamptz NOT NULL,
    -- While the target waits for the price to return: since when it is on the other side.
    returned_at   timestamptz,
    last_fired_at timestamptz,
    -- When it fired once, expired, or was deleted.
    closed_at     timestamptz,
    -- The line, in `currency`.
    price         numeric NOT NULL CHECK (price > 0),
    fired_count   integer NOT NULL DEFAULT 0,
    repeats       boolean NOT NULL,
    -- Whether the next crossing fires. NULL: no observation has shown on which side the price is.
    is_armed      boolean,
    -- The newest observation asks for a change that the next one has to confirm.
    is_pending    boolean NOT NULL DEFAULT false,
    coin_id       text NOT NULL,
    direction     text NOT NULL CHECK (direction IN ('above', 'below')),
    currency      text NOT NULL CHECK (currency IN ('usd', 'idr')),
    state         text NOT NULL DEFAULT 'open'
                  CHECK (state IN ('open', 'fired', 'expired', 'deleted')),
    source        text NOT NULL CHECK (source IN ('api', 'dashboard', 'telegram', 'settings')),
    note          text NOT NULL CHECK (length(note) <= 200),
    -- A digest of an entry of ingest_config.json: it becomes a target once. NULL for other sources.
    identity      text UNIQUE,
    CHECK ((state = 'open') = (closed_at IS NULL))
);
