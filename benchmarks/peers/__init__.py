"""Compare the sandbox with other backtesters: `python -m benchmarks.peers` prints two tables.

Each peer has a requirement file here and a module `run_NAME`, which runs in a venv of its own.
"""
