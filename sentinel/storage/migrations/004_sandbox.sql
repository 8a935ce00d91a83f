-- What outlives the retention: which days are archived, and the wallets of the sandbox.

-- One row a day in the archive: the file's digest and size there, and what the day held here when it
-- was written, so that a day that has changed since is written again before it is dropped.
CREATE TABLE archived_days (
    archived_at timestamptz NOT NULL,
    rows        bigint NOT NULL,
    bytes       bigint NOT NULL,
    source_rows   bigint NOT NULL,
    day         date PRIMARY KEY,
    sha256      text NOT NULL,
    source_digest text NOT NULL,
    place       text NOT NULL
);

-- A wallet of paper money: a strategy at work on some coins, each with a purse of its own. What is in
-- the purses is nowhere written: it is what the wallet's events come to.
CREATE TYPE wallet_event AS ENUM ('opened', 'ordered', 'filled', 'refused');

CREATE TABLE wallets (
    opened_at    timestamptz NOT NULL,
    closed_at    timestamptz,
    fee_bps      numeric NOT NULL CHECK (fee_bps >= 0),
    slippage_bps numeric NOT NULL CHECK (slippage_bps >= 0),
    wallet_id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text NOT NULL UNIQUE,
    strategy     text NOT NULL,
    parameters   jsonb NOT NULL
);

-- `observed_at` is the observation that an order was decided at, or was filled at or refused;
-- `recorded_at` when that was written down. An opening brings cash; an order names its share of the
-- cash (above 0) or of the coins (below); a fill moves `quantity` coins and `cash_usd`, the fee within.
CREATE TABLE wallet_events (
    event_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recorded_at timestamptz NOT NULL,
    observed_at timestamptz NOT NULL,
    wallet_id   integer NOT NULL REFERENCES wallets,
    kind        wallet_event NOT NULL,
    coin_id     text NOT NULL,
    share       double precision,
    price_usd   numeric CHECK (price_usd > 0),
    quantity    numeric,
    cash_usd    numeric,
    fee_usd     numeric CHECK (fee_usd >= 0),
    reason      text,
    UNIQUE (wallet_id, coin_id, kind, observed_at)
);
