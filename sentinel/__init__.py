"""Market Sentinel's library, by subject. It imports no pipeline stage and no service."""
