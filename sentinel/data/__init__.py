"""Stored prices for notebooks: `from sentinel.data import candles, frame, prices`."""

from sentinel.data.frames import candles, frame, prices

__all__ = ["candles", "frame", "prices"]
