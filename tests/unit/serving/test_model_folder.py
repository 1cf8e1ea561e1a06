"""What an MLmodel file says is read strictly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flyball.kernel.errors import InvalidInput, Unsupported
from flyball.serving.entities import ColumnKind, ColumnSpec, Signature, TensorSpec
from flyball.serving.model_folder import MATRIX_COLUMNS, parse_signature, read_model_folder

from .conftest import PINS


def inputs(*columns: dict[str, object]) -> dict[str, object]:
    return {"inputs": json.dumps(columns)}


def tensor(shape: list[object], dtype: str = "float64") -> dict[str, object]:
    return inputs({"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}})


def test_a_folder_that_mlflow_wrote_is_read(linear_folder: Path) -> None:
    spec = read_model_folder(linear_folder)
    assert spec.flavour == "sklearn"
    assert [(one.name, one.kind) for one in spec.signature.inputs] == [
        ("price", "double"),
        ("demand", "float"),
        ("hour", "long"),
        ("day", "integer"),
        ("holiday", "boolean"),
    ]
    assert spec.signature.output == "long"
    assert set(PINS) < set(spec.requirements)
    assert spec.options["serialization_format"] == "skops"


def test_a_python_function_is_what_a_model_is_served_as_last(linear_folder: Path, tmp_path: Path) -> None:
    text = (linear_folder / "MLmodel").read_text()
    (tmp_path / "MLmodel").write_text(text)
    assert "python_function" in text
    assert read_model_folder(tmp_path).flavour == "sklearn"
    (tmp_path / "MLmodel").write_text(text.replace("  sklearn:", "  strange:"))
    assert read_model_folder(tmp_path).flavour == "python_function"


def test_a_column_may_be_left_out_where_the_signature_says_so() -> None:
    found = parse_signature(inputs({"name": "a", "type": "double", "required": False}, {"name": "b", "type": "long"}))
    assert found == Signature(
        inputs=(
            ColumnSpec(name="a", kind=ColumnKind.DOUBLE, required=False),
            ColumnSpec(name="b", kind=ColumnKind.LONG),
        )
    )


def test_a_matrix_names_its_columns_by_place() -> None:
    found = parse_signature(tensor([-1, 2], "int64"))
    assert (found.names, found.named) == (("x0", "x1"), False)
    assert {one.kind for one in found.inputs} == {ColumnKind.LONG}


@pytest.mark.parametrize(
    ("shape", "dtype", "row"),
    [
        ([-1, 2, 3], "float32", (2, 3)),
        ([-1, -1], "float64", (-1,)),
        ([-1], "float64", ()),
        ([-1, 4], "uint8", (4,)),
        ([-1, MATRIX_COLUMNS + 1], "float64", (MATRIX_COLUMNS + 1,)),
    ],
)
def test_a_nameless_tensor_that_is_no_table_is_one_input(shape: list[object], dtype: str, row: tuple[int, ...]) -> None:
    found = parse_signature(tensor(shape, dtype))
    whole = ColumnSpec(name="input", kind=ColumnKind.TENSOR, tensor=TensorSpec(dtype=dtype, shape=row))
    assert found == Signature(inputs=(whole,), named=False)


def test_named_tensors_keep_their_names_and_stand_beside_each_other() -> None:
    items: list[dict[str, object]] = [
        {"name": "image", "type": "tensor", "tensor-spec": {"dtype": "uint8", "shape": [-1, 8, 8]}},
        {"name": "title", "type": "tensor", "tensor-spec": {"dtype": "str", "shape": [-1]}},
    ]
    found = parse_signature(inputs(*items))
    assert [one.tensor for one in found.inputs] == [
        TensorSpec(dtype="uint8", shape=(8, 8)),
        TensorSpec(dtype="object", shape=()),
    ]
    assert (found.names, found.named) == (("image", "title"), True)


def test_moments_and_bytes_are_columns() -> None:
    found = parse_signature(inputs({"name": "at", "type": "datetime"}, {"name": "raw", "type": "binary"}))
    assert [one.kind for one in found.inputs] == [ColumnKind.DATETIME, ColumnKind.BINARY]


@pytest.mark.parametrize("section", [None, {}, {"inputs": None}, {"inputs": ""}, "text"])
def test_a_model_without_a_signature_is_refused_with_the_remedy(section: object) -> None:
    with pytest.raises(InvalidInput, match="infer_signature"):
        parse_signature(section)


@pytest.mark.parametrize(
    ("section", "error", "match"),
    [
        (inputs({"name": "a", "type": "array"}), Unsupported, "'a' has type 'array'"),
        (inputs({"name": "a", "type": {"x": 1}}), Unsupported, "'a' has type"),
        (inputs({"type": "any"}), InvalidInput, "column 0 .* has no name"),
        (inputs({"name": "a", "type": "long", "required": "yes"}), InvalidInput, "neither true nor false"),
        (inputs({"name": "a", "type": "long"}, {"name": "a", "type": "long"}), InvalidInput, "'a' twice"),
        ({"inputs": "{"}, InvalidInput, "no JSON"),
        ({"inputs": "[1]"}, InvalidInput, "no list of columns"),
        ({"inputs": "{}"}, InvalidInput, "no list of columns"),
        (tensor([8, 2]), Unsupported, "any number of rows"),
        (tensor([]), Unsupported, "any number of rows"),
        (tensor([-1, "2"]), InvalidInput, "impossible shape"),
        (tensor([-1, 2], "complex64"), Unsupported, "complex64"),
    ],
)
def test_a_signature_that_cannot_be_held_is_refused(
    section: dict[str, object], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        parse_signature(section)


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        ("flavors: [", InvalidInput, "cannot be read"),
        ("- a", InvalidInput, "no mapping"),
        ("flavors: 3", InvalidInput, "no mapping"),
        ("flavors: {h2o: {}, spark: {}}", Unsupported, "h2o, spark"),
        ("flavors: {sklearn: {}}", InvalidInput, "signature"),
        ("a: !!python/object/apply:os.system [id]", InvalidInput, "cannot be read"),
    ],
)
def test_an_mlmodel_file_that_is_none_is_refused(text: str, error: type[Exception], match: str, tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(error, match=match):
        read_model_folder(tmp_path)


def test_a_folder_without_an_mlmodel_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no MLmodel file"):
        read_model_folder(tmp_path)
