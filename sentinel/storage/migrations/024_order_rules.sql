-- Rules around a wallet's strategy (sentinel/backtesting/order_rules.py); NULL: none.

ALTER TABLE sentinel.wallets ADD COLUMN rules jsonb;

-- After a protective exit, the strategy's own signal was at or below 0: purchases are possible again.
ALTER TYPE sentinel.wallet_event ADD VALUE 'unblocked';
