-- What the mark of an alert is: the extreme of the window or of the week, the extreme before an
-- outage, or the peg. Of earlier alerts only those at the peg are recognized by their mark.

ALTER TABLE sentinel.alerts
    ADD COLUMN basis text NOT NULL DEFAULT 'window'
    CHECK (basis IN ('window', 'week', 'outage', 'peg'));
UPDATE sentinel.alerts SET basis = 'peg' WHERE reference_usd = 1;
