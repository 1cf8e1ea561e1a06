"""The tracking server beside `mlflow server` and fasttrackml."""
