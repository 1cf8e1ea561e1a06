"""Moving in and out: take over what other stores hold, and write everything down in open formats."""
