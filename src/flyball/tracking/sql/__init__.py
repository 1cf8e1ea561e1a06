"""Tracking on a database, one module an aggregate."""
