"""What the product promises in figures, each beside its floor or bound in the same run.

`make bench` runs all of them; `python -m benchmarks load` one. They need several minutes and about
3 GB of disk, and say nothing on a busy machine.
"""
