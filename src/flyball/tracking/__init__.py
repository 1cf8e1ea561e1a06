"""Tracking: experiments, runs and what they logged, logged models, and the language to search them."""
