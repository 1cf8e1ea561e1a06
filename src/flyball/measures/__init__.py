"""Measures: arrays in, numbers out. Nothing here knows a store, a clock or a model."""
