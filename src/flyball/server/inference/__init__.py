"""The model server: one process for one endpoint, a skin over the data plane."""
