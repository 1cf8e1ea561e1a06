"""Where alerts go: sinks declared in one document, an outbox in the alert's own transaction, delivery at least once."""
