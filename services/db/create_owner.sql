-- Runs once, when the container `db` creates its database: the role `sentinel` owns the database
-- `sentinel` and is no superuser. The superuser keeps no password, so it logs in only inside the
-- container.
\getenv password POSTGRES_PASSWORD
CREATE ROLE sentinel LOGIN PASSWORD :'password';
ALTER DATABASE sentinel OWNER TO sentinel;
ALTER ROLE postgres PASSWORD NULL;
