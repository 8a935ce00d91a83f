"""Backtests of trading strategies on stored prices, and walk-forward sweeps."""
