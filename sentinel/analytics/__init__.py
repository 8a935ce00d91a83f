"""Alerts, their calibration, and forecasts: pure functions over prices."""
