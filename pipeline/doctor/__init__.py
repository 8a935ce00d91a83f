"""`python -m pipeline.doctor`: check everything that a deployment needs, from outside to inside."""
