"""Where transfer speaks SQL: MLflow's schema, a snapshot of our own, and the record of what was imported."""
