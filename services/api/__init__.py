"""The HTTP API: reads of the stored data, and changes of the portfolio."""
