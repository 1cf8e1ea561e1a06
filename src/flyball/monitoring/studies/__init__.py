"""Calibrations and backtests that people ask for: work of minutes, done in the background, with a result that is kept."""
