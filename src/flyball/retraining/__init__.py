"""The guarded loop: an alert is diagnosed, and only what stands every gate reaches production."""
