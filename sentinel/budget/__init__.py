"""The month's use of every free quota, and how many scheduled runs arrive."""
