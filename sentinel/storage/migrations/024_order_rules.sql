-- Rules around a wallet's strategy (sentinel/backtesting/order_rules.py); NULL: none.

ALTER TABLE sentinel.wallets ADD COLUMN rules jsonb;

-- unblocked: after a protective exit, the strategy's own signal was at or below 0, so that purchases
-- are possible again. A new type instead of ADD VALUE: before PostgreSQL 17, a restore could not
-- load this value in the transaction that adds it.
ALTER TYPE sentinel.wallet_event RENAME TO wallet_event_before;
CREATE TYPE sentinel.wallet_event AS ENUM ('opened', 'ordered', 'filled', 'rejected', 'unblocked');
ALTER TABLE sentinel.wallet_events
    ALTER COLUMN kind TYPE sentinel.wallet_event USING kind::text::sentinel.wallet_event;
DROP TYPE sentinel.wallet_event_before;
