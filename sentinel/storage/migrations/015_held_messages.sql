-- The end of the quiet hours that a message waits for (sentinel/notifications/quiet_hours.py).

ALTER TABLE sentinel.outbox ADD COLUMN held_until timestamptz;
