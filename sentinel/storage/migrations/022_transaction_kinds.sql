-- Trades of coin for coin, transfers, rewards, and wallets. Earlier rows are purchases and sales.

ALTER TABLE sentinel.transactions
    ADD COLUMN kind        text NOT NULL DEFAULT 'buy',
    -- '' is the main wallet.
    ADD COLUMN wallet      text NOT NULL DEFAULT '',
    -- Received in a trade.
    ADD COLUMN to_coin_id  text,
    ADD COLUMN to_quantity numeric,
    -- The receiving wallet of a transfer between own wallets.
    ADD COLUMN to_wallet   text;

UPDATE sentinel.transactions SET kind = 'sell' WHERE quantity < 0;

ALTER TABLE sentinel.transactions
    -- `price_usd` is that of one `coin_id`, so quantity times price is the value of both sides.
    ADD CONSTRAINT transactions_kind CHECK (CASE kind
        WHEN 'buy' THEN quantity > 0
        WHEN 'sell' THEN quantity < 0
        WHEN 'trade' THEN quantity < 0
        -- Without a receiving wallet the coins come from outside, or go there.
        WHEN 'transfer' THEN to_wallet IS NULL OR (quantity > 0 AND price_usd = 0)
        WHEN 'reward' THEN quantity > 0 AND price_usd = 0
        ELSE false END),
    ADD CONSTRAINT transactions_trade CHECK (CASE WHEN kind = 'trade'
        THEN to_coin_id IS NOT NULL AND to_coin_id <> coin_id
             AND to_quantity IS NOT NULL AND to_quantity > 0
        ELSE to_coin_id IS NULL AND to_quantity IS NULL END),
    ADD CONSTRAINT transactions_wallets CHECK (
        to_wallet IS NULL OR (kind = 'transfer' AND to_wallet <> wallet));

-- Deleted transactions, so that a deletion can be undone.
CREATE TABLE sentinel.deleted_transactions (
    deleted_at timestamptz NOT NULL,
    LIKE sentinel.transactions,
    PRIMARY KEY (transaction_id)
);

-- What each transaction does to one coin in one wallet. A trade and a transfer between wallets have
-- two legs. `value_usd` is paid for coins received, and negative for coins given.
CREATE VIEW sentinel.transaction_legs AS
SELECT transaction_id, made_at, wallet, coin_id,
       CASE WHEN to_wallet IS NULL THEN quantity ELSE -quantity END AS quantity,
       quantity * price_usd AS value_usd, fee_usd, idr_per_usd,
       to_wallet IS NOT NULL AS is_internal
FROM sentinel.transactions
UNION ALL
SELECT transaction_id, made_at, coalesce(to_wallet, wallet), coalesce(to_coin_id, coin_id),
       coalesce(to_quantity, quantity),
       -quantity * price_usd, 0, idr_per_usd,
       to_wallet IS NOT NULL
FROM sentinel.transactions
WHERE kind = 'trade' OR to_wallet IS NOT NULL;
