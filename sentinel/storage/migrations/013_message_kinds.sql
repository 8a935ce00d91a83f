-- What each message is about, the coins whose alerts the user has muted, and which alerts were sent.

ALTER TABLE sentinel.outbox
    -- panic, reversal, market, target, follow_up, summary, incident or test.
    ADD COLUMN kind text,
    -- NULL: the message is not about one coin.
    ADD COLUMN coin_id text,
    -- How often the target itself worked and rejected this message.
    ADD COLUMN rejections integer NOT NULL DEFAULT 0;
UPDATE sentinel.outbox
SET kind = CASE WHEN queue = 'market' THEN 'market'
                WHEN message_key LIKE 'panic:%' THEN 'panic'
                WHEN message_key LIKE 'reversal:%' THEN 'reversal'
                ELSE 'incident' END,
    coin_id = CASE WHEN queue <> 'market' AND message_key ~ '^(panic|reversal):' THEN queue END;
ALTER TABLE sentinel.outbox ALTER COLUMN kind SET NOT NULL;

CREATE TABLE sentinel.muted_coins (
    muted_at    timestamptz NOT NULL,
    muted_until timestamptz NOT NULL,
    coin_id     text PRIMARY KEY
);

ALTER TABLE sentinel.alerts
    -- When the message about the outcome was queued.
    ADD COLUMN followed_up_at timestamptz,
    -- False: the coin was muted.
    ADD COLUMN is_announced boolean NOT NULL DEFAULT true;
