"""The parts and dialogs of the Portfolio page."""
