-- Since when each coin has been watched: earlier falls cannot have been missed by its alerts.

ALTER TABLE sentinel.alert_trackers ADD COLUMN watched_since timestamptz;
UPDATE sentinel.alert_trackers
SET watched_since = coalesce((SELECT min(observed_at) FROM sentinel.alerts), now());
ALTER TABLE sentinel.alert_trackers ALTER COLUMN watched_since SET NOT NULL;
