"""Ray: jobs over many parts on a cluster."""
