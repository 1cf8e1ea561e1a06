"""Read an MLflow-format model folder: the MLmodel file, the signature in it, the requirements beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from flyball.kernel.errors import InvalidInput, Unsupported
from flyball.serving.entities import ColumnKind, ColumnSpec, ModelSpec, Signature, TensorSpec
from flyball.serving.flavours import offered_flavours

MLMODEL = "MLmodel"
REQUIREMENTS = "requirements.txt"
# An MLmodel file is a page of text; a larger one is no MLmodel file.
MAX_MLMODEL_BYTES = 10_000_000
_TENSOR_KINDS = {
    "bool": ColumnKind.BOOLEAN,
    "int32": ColumnKind.INTEGER,
    "int64": ColumnKind.LONG,
    "float32": ColumnKind.FLOAT,
    "float64": ColumnKind.DOUBLE,
}
_TEXTS = ("str", "object")
_LABEL_KINDS = _TENSOR_KINDS | dict.fromkeys(_TEXTS, ColumnKind.STRING)
_TENSOR_TYPES = frozenset(
    {
        "bool",
        "float16",
        "float32",
        "float64",
        *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
        *_TEXTS,
    }
)
_ANY_SIZE = -1
_MATRIX_DIMENSIONS = 2
# Up to so many columns a nameless matrix is a table, whose columns are captured and watched one by one; beyond it an image.
MATRIX_COLUMNS = 1_000
NAMELESS = "input"


def read_model_folder(folder: Path) -> ModelSpec:
    """Read what a model folder says of itself; nothing is loaded.

    Raises:
        InvalidInput: no MLmodel file, or one that cannot be read, or a model without a signature.
        Unsupported: no flavour of ours, or a type of column that is not served.
    """
    document = read_document(folder)
    flavours, offered = _mapping(document.get("flavors"), "flavors"), offered_flavours()
    flavour = next((name for name in offered if name in flavours), None)
    if flavour is None:
        raise Unsupported(
            f"the model has the flavours {', '.join(sorted(flavours)) or 'none'}; served here: {', '.join(offered)}",
            field="flavors",
        )
    return spec_of(document, folder=folder, flavour=flavour)


def spec_of(document: Mapping[str, object], *, folder: Path, flavour: str) -> ModelSpec:
    """Return what an MLmodel document says to one of its flavours.

    Raises:
        InvalidInput: as `read_model_folder`.
        Unsupported: as `read_model_folder`.
    """
    flavours = _mapping(document.get("flavors"), "flavors")
    return ModelSpec(
        folder=folder,
        flavour=flavour,
        options=_mapping(flavours.get(flavour), f"flavors.{flavour}"),
        signature=parse_signature(document.get("signature")),
        requirements=_read_requirements(folder / REQUIREMENTS),
    )


def parse_signature(section: object) -> Signature:
    """Parse the `signature` section of an MLmodel file.

    Raises:
        InvalidInput: there is none, or it names no inputs, or a column twice.
        Unsupported: a type of column that is not served.
    """
    inputs = section.get("inputs") if isinstance(section, Mapping) else None
    if not inputs:
        raise InvalidInput(
            "the model has no signature; log it again with signature=mlflow.models.infer_signature(inputs, outputs)",
            field="signature",
        )
    items, output = _parse_inputs(inputs), _output(section)
    if len(items) == 1 and items[0].get("type") == ColumnKind.TENSOR and not items[0].get("name"):
        return _nameless_signature(items[0], output=output)
    specs = tuple(_column(item, position) for position, item in enumerate(items))
    names = [spec.name for spec in specs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInput(f"the signature names column '{twice[0]}' twice", field=twice[0])
    return Signature(inputs=specs, output=output)


def _parse_inputs(text: object) -> list[Mapping[str, object]]:
    try:
        items = json.loads(text) if isinstance(text, str) else text
    except ValueError as error:
        raise InvalidInput(f"the signature's inputs are no JSON: {error}", field="signature.inputs") from error
    if not isinstance(items, list) or not items or not all(isinstance(item, Mapping) for item in items):
        raise InvalidInput("the signature's inputs are no list of columns", field="signature.inputs")
    return items


def _column(item: Mapping[str, object], position: int) -> ColumnSpec:
    name, kind, required = item.get("name"), item.get("type"), item.get("required", True)
    if not isinstance(name, str) or not name:
        raise InvalidInput(
            f"column {position} of the signature has no name (its type is {kind}); log the model again with the signature "
            "of a table with named columns",
            field="signature.inputs",
        )
    if not isinstance(kind, str) or kind not in set(ColumnKind):
        raise Unsupported(
            f"column '{name}' has type '{kind}'; served here: {', '.join(ColumnKind)}", field=f"signature.{name}"
        )
    if kind == ColumnKind.TENSOR:
        return ColumnSpec(name=name, kind=ColumnKind.TENSOR, tensor=_tensor(name, item))
    if not isinstance(required, bool):
        raise InvalidInput(f"column '{name}': 'required' is neither true nor false", field=f"signature.{name}")
    return ColumnSpec(name=name, kind=ColumnKind(kind), required=required)


def _output(section: object) -> ColumnKind | None:
    """Return the type of the label, None where the signature leaves it open; it is told to callers, and not enforced."""
    outputs = section.get("outputs") if isinstance(section, Mapping) else None
    if not outputs:
        return None
    item = _parse_inputs(outputs)[0]
    tensor = item.get("tensor-spec")
    kind = tensor.get("dtype") if isinstance(tensor, Mapping) else item.get("type")
    if not isinstance(kind, str):
        return None
    return ColumnKind(kind) if kind in set(ColumnKind) else _LABEL_KINDS.get(kind)


def _tensor(name: str, item: Mapping[str, object]) -> TensorSpec:
    section = _mapping(item.get("tensor-spec"), "tensor-spec")
    shape, dtype = section.get("shape"), section.get("dtype")
    if dtype not in _TENSOR_TYPES:
        raise Unsupported(
            f"tensor '{name}' is of {dtype}; served here: {', '.join(sorted(_TENSOR_TYPES))}", field=f"signature.{name}"
        )
    if not isinstance(shape, list) or not all(isinstance(size, int) and size >= _ANY_SIZE for size in shape):
        raise InvalidInput(f"tensor '{name}' has the impossible shape {shape}", field=f"signature.{name}")
    if not shape or shape[0] != _ANY_SIZE:
        raise Unsupported(
            f"tensor '{name}' has shape {shape}; served here: any number of rows, which is -1 as its first size",
            field=f"signature.{name}",
        )
    return TensorSpec(dtype="object" if dtype in _TEXTS else str(dtype), shape=tuple(shape[1:]))


def _nameless_signature(item: Mapping[str, object], *, output: ColumnKind | None) -> Signature:
    """Name the columns of a nameless matrix as scikit-learn does in `get_feature_names_out`: x0, x1, ...; or the tensor."""
    tensor = _tensor(NAMELESS, item)
    width = tensor.shape[0] if len(tensor.shape) == _MATRIX_DIMENSIONS - 1 else 0
    if tensor.dtype in _TENSOR_KINDS and 0 < width <= MATRIX_COLUMNS:
        kind = _TENSOR_KINDS[tensor.dtype]
        return Signature(
            inputs=tuple(ColumnSpec(name=f"x{i}", kind=kind) for i in range(width)), output=output, named=False
        )
    whole = ColumnSpec(name=NAMELESS, kind=ColumnKind.TENSOR, tensor=tensor)
    return Signature(inputs=(whole,), output=output, named=False)


def read_document(folder: Path) -> Mapping[str, object]:
    """Read the MLmodel file of a folder as it is.

    Raises:
        InvalidInput: there is none, or it cannot be read.
    """
    import yaml  # not at the top: this module is also read where models run, and there may be no YAML there

    path = folder / MLMODEL
    if not path.is_file():
        raise InvalidInput(f"{folder} is no model folder: it has no {MLMODEL} file", field=MLMODEL)
    if path.stat().st_size > MAX_MLMODEL_BYTES:
        raise InvalidInput(f"the {MLMODEL} file is larger than {MAX_MLMODEL_BYTES} bytes", field=MLMODEL)
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the {MLMODEL} file cannot be read: {error}", field=MLMODEL) from error
    return _mapping(document, MLMODEL)


def _mapping(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise InvalidInput(f"'{what}' of the model is no mapping", field=what)
    return value


def _read_requirements(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    lines = (line.split(" #", maxsplit=1)[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))
