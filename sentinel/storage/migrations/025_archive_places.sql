-- A day may be archived in more than one place.

ALTER TABLE sentinel.archived_days DROP CONSTRAINT archived_days_pkey;
ALTER TABLE sentinel.archived_days ADD PRIMARY KEY (day, location);
