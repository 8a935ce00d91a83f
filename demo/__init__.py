"""A stand-in for CoinGecko on loopback, for `make demo`, the tests and the benchmarks.

It speaks the recorded wire format and is never used unless asked for.
"""
