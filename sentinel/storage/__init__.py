"""PostgreSQL: connections, the embedded server, schema, partitions, retention and queries."""
