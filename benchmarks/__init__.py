"""Measure the figures that the product promises, each with its bound or a floor of the same run.

`make bench` runs all of them; `python -m benchmarks load` one. They take several minutes and about
3 GB of disk. On a busy machine the figures mean nothing. A module's function `measure` yields the
results; the tests run each one in a tiny size.
"""
