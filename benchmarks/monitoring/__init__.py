"""Drift of two tables: ours beside Evidently, each in its own process and environment, on the same Parquet files."""
