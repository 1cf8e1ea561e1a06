"""The life of an alert: what ends it, who is kept from hearing of it, and what most likely caused it."""
