"""The journal: what a training process logs, kept on its own disk first and shipped to the server in the background."""

from flyball.client.journal.journal import Journal

__all__ = ["Journal"]
