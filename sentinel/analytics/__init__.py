"""Alerts and forecasts: pure functions over prices."""
