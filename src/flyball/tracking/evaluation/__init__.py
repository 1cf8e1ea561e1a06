"""Evaluation datasets of MLflow 3: records of inputs and what is expected of the answer, kept under a name for evaluations."""

from flyball.tracking.evaluation.datasets import EvaluationDatasets
from flyball.tracking.evaluation.entities import EvaluationDataset, EvaluationRecord

__all__ = ["EvaluationDataset", "EvaluationDatasets", "EvaluationRecord"]
