"""Strategies on stored prices: engine, portfolio, metrics, walk-forward."""
