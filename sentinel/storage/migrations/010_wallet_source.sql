-- Which text of its file a wallet's strategy is (sentinel/paper_trading/strategy_files.py); NULL for
-- a built-in strategy.

ALTER TABLE sentinel.wallets ADD COLUMN source_sha256 text;
