"""Detectors that a monitor feeds window by window: they find a lasting change, and say since when."""
