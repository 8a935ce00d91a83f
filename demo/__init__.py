"""A stand-in for CoinGecko on this machine, for `make demo`, the tests and the benchmarks.

It sends responses in the recorded format. Nothing uses it unless COINGECKO_BASE_URL names it.
"""
