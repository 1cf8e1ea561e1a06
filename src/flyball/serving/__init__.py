"""Serving: read a model folder, hold requests to its signature, predict, and capture every prediction."""
