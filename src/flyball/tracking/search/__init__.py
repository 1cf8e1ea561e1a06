"""The search language of the MLflow protocol: one conjunction of comparisons, an order, and pages."""

from flyball.tracking.search.clauses import Clause, Field, Operator, Ordering, Vocabulary, Wording
from flyball.tracking.search.ordering import parse_order
from flyball.tracking.search.pages import Place, check_max_results, page_of, parse_page_token, parse_place, place_token
from flyball.tracking.search.parser import parse_filter
from flyball.tracking.search.vocabularies import EXPERIMENTS, MODELS, RUNS

__all__ = [
    "EXPERIMENTS",
    "MODELS",
    "RUNS",
    "Clause",
    "Field",
    "Operator",
    "Ordering",
    "Place",
    "Vocabulary",
    "Wording",
    "check_max_results",
    "page_of",
    "parse_filter",
    "parse_order",
    "parse_page_token",
    "parse_place",
    "place_token",
]
