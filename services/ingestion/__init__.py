"""The loop: the pipeline kept running, and what it makes of the prices."""
