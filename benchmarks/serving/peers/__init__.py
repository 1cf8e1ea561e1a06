"""What each peer needs written for it to serve a model; runs in the peer's environment, and imports nothing of ours."""
