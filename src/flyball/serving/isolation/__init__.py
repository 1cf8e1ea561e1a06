"""Isolation: models whose environment differs from ours, each in a process and an environment of its own."""
