"""The default database kept running: one long-running process of the stack."""
