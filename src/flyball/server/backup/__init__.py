"""Whole installations: backups of database and artifacts at one point, their restoring, and moves between databases."""
