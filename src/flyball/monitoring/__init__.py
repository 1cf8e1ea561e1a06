"""Monitoring: what was predicted, what turned out to be true, and an alert with its cause where the two part."""
