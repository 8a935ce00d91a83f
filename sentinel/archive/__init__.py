"""The archive: days older than the retention as Parquet files, in a folder or an object store."""
