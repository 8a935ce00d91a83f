-- A random identity. It tells a database from one that was made anew at the same address. A restored
-- database has the identity of the one that was backed up.

CREATE TABLE sentinel.database_identity (
    identity uuid PRIMARY KEY
);
INSERT INTO sentinel.database_identity VALUES (gen_random_uuid());
