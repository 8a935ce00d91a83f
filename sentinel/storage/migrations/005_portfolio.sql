-- The user's own transactions.

CREATE TABLE sentinel.transactions (
    transaction_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    made_at        timestamptz NOT NULL,
    coin_id        text NOT NULL,
    -- Above 0 for a purchase, below 0 for a sale.
    quantity       numeric NOT NULL CHECK (quantity <> 0),
    price_usd      numeric NOT NULL CHECK (price_usd >= 0),
    fee_usd        numeric NOT NULL CHECK (fee_usd >= 0),
    -- The rupiah rate at that time; NULL where it is unknown.
    idr_per_usd    numeric CHECK (idr_per_usd > 0),
    note           text NOT NULL,
    -- A digest of all fields: importing the same file again adds nothing.
    identity       text UNIQUE
);
CREATE INDEX transactions_coin ON sentinel.transactions (coin_id, made_at);
