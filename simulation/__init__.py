"""A deterministic simulation of weeks of runs and faults, with checks of the promises."""
