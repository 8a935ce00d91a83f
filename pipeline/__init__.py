"""The scheduled batch: one run, its spool, its backfill and its report."""
