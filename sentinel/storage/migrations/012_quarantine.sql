-- What became of a rejected entry (pipeline/quarantine.py); NULL while it is open.

ALTER TABLE sentinel.rejections
    ADD COLUMN resolved_at timestamptz,
    ADD COLUMN resolution text CHECK (resolution IN ('replayed', 'discarded')),
    -- Why the user discarded it.
    ADD COLUMN note text;
-- A run, the health check and the API read the newest entries.
CREATE INDEX rejections_rejected_at ON sentinel.rejections (rejected_at);
