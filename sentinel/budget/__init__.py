"""Usage of the free monthly quotas, and the coverage of the schedule."""
