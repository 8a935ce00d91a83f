"""Plotly figures. Pure functions from API responses to figures."""
