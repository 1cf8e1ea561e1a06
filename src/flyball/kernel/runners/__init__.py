"""Runners: the same work on many parts, in several processes of this machine or on a cluster."""

from flyball.kernel.runners.opening import open_runner
from flyball.kernel.runners.ports import ATTEMPTS, PartRunner, Piece, Work
from flyball.kernel.runners.refusals import Refusal, error_of, refusal_of

__all__ = ["ATTEMPTS", "PartRunner", "Piece", "Refusal", "Work", "error_of", "open_runner", "refusal_of"]
