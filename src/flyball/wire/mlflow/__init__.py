"""The JSON of the MLflow protocol: snake_case, unknown fields ignored, unset fields left out."""
