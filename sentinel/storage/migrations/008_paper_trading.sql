-- Paper trading: each wallet is an append-only event log. Its balance is derived from the events.

CREATE TYPE sentinel.wallet_event AS ENUM ('opened', 'ordered', 'filled', 'rejected');

CREATE TABLE sentinel.wallets (
    opened_at    timestamptz NOT NULL,
    closed_at    timestamptz,
    fee_bps      numeric NOT NULL CHECK (fee_bps >= 0),
    slippage_bps numeric NOT NULL CHECK (slippage_bps >= 0),
    wallet_id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text NOT NULL UNIQUE,
    strategy     text NOT NULL,
    parameters   jsonb NOT NULL
);

CREATE TABLE sentinel.wallet_events (
    event_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recorded_at timestamptz NOT NULL,
    -- The observation at which an order was decided, filled or rejected.
    observed_at timestamptz NOT NULL,
    wallet_id   integer NOT NULL REFERENCES sentinel.wallets,
    kind        sentinel.wallet_event NOT NULL,
    coin_id     text NOT NULL,
    -- An order's share of the cash (above 0) or of the coins (below 0).
    share       double precision,
    price_usd   numeric CHECK (price_usd > 0),
    -- What a fill adds to the position and to the cash; the fee is within `cash_usd`.
    quantity    numeric,
    cash_usd    numeric,
    fee_usd     numeric CHECK (fee_usd >= 0),
    reason      text,
    UNIQUE (wallet_id, coin_id, kind, observed_at)
);
