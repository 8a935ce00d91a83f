"""The loop: run the pipeline continuously and derive alerts and forecasts from the prices."""
