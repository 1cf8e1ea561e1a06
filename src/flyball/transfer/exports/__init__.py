"""The export: Parquet, JSON and blobs in a folder, and the way back."""
