"""The API: what is stored, to be read over HTTP, and the portfolio, to be written."""
