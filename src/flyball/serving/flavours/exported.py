"""Check an exported program of PyTorch before PyTorch reads it.

`torch.export.load` is made for files that one trusts: it unpickles what an archive marks as pickled, looks functions up by any
dotted name, evaluates expressions of sizes, and writes names into Python that it then runs. So everything in the archive that could
reach one of these is held against what `torch.export.save` writes for a module of tensors and operators; whatever else is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final

from flyball.kernel.errors import InvalidInput

_CONFIG = re.compile(r"data/(weights|constants)/\w+_config\.json")
_PROGRAM = re.compile(r"models/\w+\.json")
_SAMPLE = re.compile(r"data/sample_inputs/\w+\.pt")
_KNOWN: Final = (
    _CONFIG,
    _PROGRAM,
    _SAMPLE,
    re.compile(r"data/weights/weight_\d+"),
    re.compile(r"data/constants/tensor_\d+"),
    re.compile(r"archive_format|archive_version|byteorder|version|\.data/(version|serialization_id)"),
)
_RAW = re.compile(r"(weight|tensor)_\d+")
_NAME = r"(_?[A-Za-z]\w*|__(and|or|xor|lshift|rshift)__)"
_ARITHMETIC = "getitem|add|sub|mul|truediv|floordiv|mod|pow|neg|eq|ne|lt|le|gt|ge|and_|or_|not_"
_OPERATOR = re.compile(
    rf"torch\.ops\.(aten|prims)\.{_NAME}(\.\w+)?"
    rf"|_operator\.({_ARITHMETIC})|torch\.sym_[a-z]+|math\.(ceil|floor|trunc|sqrt)"
    r"|torch\.ops\.higher_order\.(cond|wrap_with_set_grad_enabled)"
)
# The one operator of these namespaces that opens files.
_REACHES_OUT = re.compile(r"\bfrom_file\b")
_CALLED = re.compile(r"([A-Za-z_]\w*)\s*\(")
_EXPRESSION = re.compile(r"[\w\s(),=.*+\-'/<>&|~]*")
_ATTRIBUTE = re.compile(r"\.\s*[A-Za-z_]|__")
_FUNCTIONS: Final = frozenset(
    re.findall(
        r"\w+",
        """
    Symbol Integer Float Rational Add Mul Pow Max Min Mod Eq Ne Lt Le Gt Ge And Or Not FloorDiv ModularIndexing Where PythonMod
    CleanDiv CeilToInt FloorToInt CeilDiv LShift RShift PowByNatural FloatPow FloatTrueDiv IntTrueDiv TruncToFloat TruncToInt
    RoundToInt RoundDecimal ToFloat Identity StrictGreaterThan StrictLessThan GreaterThan LessThan Equality Unequality
""",
    )
)
_TREE_TYPE = re.compile(r'"type":\s*(null|"[^"]*")')
_TREE_TYPES: Final = frozenset(
    {"null", '"builtins.tuple"', '"builtins.list"', '"builtins.dict"', '"collections.OrderedDict"'}
)
_WORD = re.compile(r"[\w.\-+:/ ,>]*")


def check_program(content: bytes) -> None:
    """Look through an archive with the reader that PyTorch itself uses.

    Raises:
        InvalidInput: it holds something that a program of tensors and operators has no need of.
    """
    import torch
    from torch.export.pt2_archive._package import PT2ArchiveReader

    archive = PT2ArchiveReader(BytesIO(content))
    for name in archive.get_file_names():
        if not any(pattern.fullmatch(name) for pattern in _KNOWN):
            raise _refused(f"the record '{name}'")
        if _CONFIG.fullmatch(name):
            _check_config(json.loads(archive.read_bytes(name)))
        elif _PROGRAM.fullmatch(name):
            check_graph(json.loads(archive.read_bytes(name)))
        elif _SAMPLE.fullmatch(name):
            # Read once as PyTorch reads it first; only where this fails would it go on to run what is in there.
            torch.load(BytesIO(archive.read_bytes(name)), weights_only=True)


def check_graph(document: object) -> None:
    """Look through the JSON of a program.

    Raises:
        InvalidInput: a function, an expression, a type or a name that is none of those known to be harmless.
    """
    for key, text in _texts(document, key=""):
        if key in {"target", "as_operator"}:
            good = _OPERATOR.fullmatch(text) is not None and not _REACHES_OUT.search(text)
        elif key == "expr_str":
            good = _is_expression(text)
        elif key in {"in_spec", "out_spec"}:
            good = set(_TREE_TYPE.findall(text)) <= _TREE_TYPES and "__" not in text and "default_factory" not in text
        else:
            good = _WORD.fullmatch(text) is not None
        if not good:
            raise _refused(f"'{text[:80]}' as {key or 'a name'}")


def _is_expression(text: str) -> bool:
    return (
        _EXPRESSION.fullmatch(text) is not None
        and _ATTRIBUTE.search(text) is None
        and set(_CALLED.findall(text)) <= _FUNCTIONS
    )


def _texts(value: object, *, key: str) -> Iterator[tuple[str, str]]:
    """Yield every text with the key it stands under, and every key; not the notes of a node, which nothing but a person reads."""
    waiting: list[tuple[str, object]] = [(key, value)]
    while waiting:
        place, one = waiting.pop()
        if isinstance(one, str):
            yield place, one
        elif isinstance(one, dict):
            yield from (("", str(name)) for name in one)
            waiting.extend((str(name), part) for name, part in one.items() if name != "metadata")
        elif isinstance(one, list):
            waiting.extend((place, part) for part in one)


def _check_config(document: Any) -> None:  # noqa: ANN401 -- JSON of anyone's making
    for name, entry in document["config"].items():
        if entry["use_pickle"] is not False or not _RAW.fullmatch(entry["path_name"]):
            raise _refused(f"'{name}', which is pickled,")


def _refused(what: str) -> InvalidInput:
    return InvalidInput(
        f"the exported program holds {what} and is not loaded; export a module of tensors and operators only",
        field="model",
    )
