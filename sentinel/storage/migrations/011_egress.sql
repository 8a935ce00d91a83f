-- How many bytes each program received from this database, by UTC day (sentinel/storage/egress.py).
-- The programs run on several machines and share one monthly quota, so the count is kept here.

CREATE TABLE sentinel.egress (
    received_bytes bigint NOT NULL,
    day            date NOT NULL,
    reader         text NOT NULL,
    PRIMARY KEY (day, reader)
);
