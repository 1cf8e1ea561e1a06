"""Revisions of the schema, in order of their numbers."""
