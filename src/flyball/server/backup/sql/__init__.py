"""Whole databases, table by table, at the speed of their drivers."""
