"""The alert stage of both halves: watched coins, trackers, calibration and their messages."""
