"""The parts of the Coin page."""
