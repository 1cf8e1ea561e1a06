"""The MLflow protocol: each handler reads a message, calls one verb of a room and renders what it returns."""
