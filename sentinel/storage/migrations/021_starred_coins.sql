-- The coins that the user starred (sentinel/alerting/starred_coins.py): the monitor watches them.

CREATE TABLE sentinel.starred_coins (
    starred_at timestamptz NOT NULL,
    coin_id    text PRIMARY KEY
);
