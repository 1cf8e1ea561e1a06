"""Shapes of MLflow's scoring protocol: the four ways to write rows, and the answer."""

from __future__ import annotations

from msgspec import UNSET, Raw, UnsetType

from flyball.wire.inference import Body, RowParameters, Scalar, Shape


class Split(Body):
    """A pandas frame in its `split` orientation. The index plays no part; a frame without names has numbers for them."""

    columns: list[str | int]
    data: Raw
    index: Raw | UnsetType = UNSET


class InvocationsBody(Body):
    """`POST /invocations`: exactly one of the four ways to write rows, and what the caller says about them."""

    dataframe_split: Split | UnsetType = UNSET
    dataframe_records: Raw | UnsetType = UNSET
    inputs: Raw | UnsetType = UNSET
    instances: Raw | UnsetType = UNSET
    params: RowParameters | None = None


class InvocationsAnswer(Shape):
    """MLflow's answer (`predictions`), and what is needed to join labels to it."""

    predictions: list[Scalar | list[Scalar]]
    prediction_ids: list[str]
    model_version: str
