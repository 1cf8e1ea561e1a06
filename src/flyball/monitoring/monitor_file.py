"""What all parts of the monitor file share: how errors name it, and the guard of its values."""

from __future__ import annotations

from functools import partial

from flyball.kernel import documents

MONITOR_FILE = "the monitor file"

require = partial(documents.require, what=MONITOR_FILE)
"""Refuse a value of the monitor file that is out of its range."""
