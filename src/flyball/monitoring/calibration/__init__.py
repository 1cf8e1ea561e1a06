"""Alarms with a stated rate: thresholds from a model's own history, and what they would find."""
