"""The model server beside MLServer, BentoML, LitServe and `mlflow models serve`."""
