"""Deployment: which version answers at an endpoint, how a new one earns its place, and how to go back."""
