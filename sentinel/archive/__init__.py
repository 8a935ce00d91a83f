"""Days older than the retention, as Parquet files on a folder or an object store."""
