"""The embedded PostgreSQL as a long-running process of the stack."""
