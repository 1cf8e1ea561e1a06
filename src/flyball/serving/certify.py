"""Convert a model, compare it with the original, and write down what came of it; in a process of its own.

An endpoint must not lose seconds of its interpreter to a converter, so it runs `python -m flyball.serving.certify` with a JSON spec on
standard input. The child writes `certificate.json` and, where the answers are within tolerance, `model.onnx`, and
`large.npz` where an ensemble of trees has a quicker form for large batches.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from flyball.kernel.canonical import canonical_json
from flyball.kernel.errors import FlyballError
from flyball.serving.conversion import LIBRARIES, PRECISIONS, Converted, convert
from flyball.serving.entities import Columns, Prediction, Signature, join_columns
from flyball.serving.flavours import open_flavour
from flyball.serving.flavours.sessions import report_nothing
from flyball.serving.large_batches import quicker_from
from flyball.serving.model_folder import read_model_folder
from flyball.serving.onnx_path import FastRuntime, Large
from flyball.serving.parity import Certificate, Parity, Tolerance, compare, judge, sample_digest, worse
from flyball.serving.ports import Runtime
from flyball.serving.reference_sample import RECOMBINED_ROWS, read_sample, recombine, with_holes
from flyball.serving.tree_bits import TreeBits, write_trees
from flyball.serving.tree_graph import trees_of

CERTIFICATE, MODEL, LARGE = "certificate.json", "model.onnx", "large.npz"
# Behind everything that answers requests.
NICENESS = 10
LONGEST_REASON = 500
_SEED_DIGITS = 12
LABELS = "labels"
_TEXT = "O"


class CertifySpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a child is asked to do: the model folder and its digest, the tolerance, and the folder for the result."""

    model: str
    model_digest: str
    result: str
    difference_ppm: int
    sample_rows: int
    allow_pickle: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """A certificate; within tolerance also the converted model, and its form for large batches where that is worth it."""

    certificate: Certificate
    content: bytes = b""
    large: bytes = b""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """Rows, and what the original says of them."""

    rows: Columns
    said: Prediction


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """The original and what it was asked: whole rows, and rows with holes where it takes these."""

    runtime: Runtime
    signature: Signature
    given: int
    whole: _Asked
    holed: _Asked | None


def certify(folder: Path, *, model_digest: str, tolerance: Tolerance, allow_pickle: bool) -> Certified:
    """Compare a model with its conversion.

    Raises:
        InvalidInput: the folder is no model that can be loaded.
        Unsupported: a flavour or format that is not served.
    """
    blank = Certificate(
        model_digest=model_digest,
        verdict=Parity.UNDECIDED,
        reason="",
        tolerance_ppm=tolerance.difference_ppm,
        versions=library_versions(),
    )
    spec = read_model_folder(folder)
    runtime = open_flavour(spec.flavour).load(spec, allow_pickle=allow_pickle)
    try:
        sample = read_sample(folder, spec.signature)
    except FlyballError as error:
        reason = f"the sample cannot be used: {error.message}"
        return Certified(certificate=dataclasses.replace(blank, reason=reason))
    given = 0 if sample is None else len(next(iter(sample.values())))
    if sample is None or given < tolerance.sample_rows:
        reason = too_small(given, tolerance)
        return Certified(certificate=dataclasses.replace(blank, rows_given=given, reason=reason))
    case = _case(runtime, spec.signature, sample, given=given)
    return _first_within(case, blank, tolerance)


def too_small(rows: int, tolerance: Tolerance) -> str:
    """Say that a sample is too small to compare anything on, and what to do."""
    return (
        f"the sample stored with the model has {rows} rows, {tolerance.sample_rows} are needed; log the model with a larger "
        "input_example"
    )


def library_versions() -> dict[str, str]:
    """Return the versions of the converters and of the runtime, as far as they are installed; nothing is imported."""
    return dict(_versions())


def _versions() -> Iterator[tuple[str, str]]:
    for name in LIBRARIES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def _case(runtime: Runtime, signature: Signature, sample: Columns, *, given: int) -> _Case:
    """Ask the original for the sample and for rows made of it."""
    seed = int(sample_digest(sample)[:_SEED_DIGITS], 16)
    more = recombine(sample, rows=RECOMBINED_ROWS, seed=seed)
    rows, holed = join_columns([dict(sample), more]), with_holes(more, seed=seed + 1)
    return _Case(
        runtime=runtime,
        signature=signature,
        given=given,
        whole=_Asked(rows=rows, said=runtime.predict(rows)),
        holed=None if holed is None else _asked(runtime, holed),
    )


def _asked(runtime: Runtime, rows: Columns) -> _Asked | None:
    """Ask for rows that the original may refuse."""
    try:
        return _Asked(rows=rows, said=runtime.predict(rows))
    except FlyballError:
        return None


def _first_within(case: _Case, blank: Certificate, tolerance: Tolerance) -> Certified:
    """Try each precision, and return the first that is within tolerance; else the last that came to a comparison."""
    last = blank
    for precision in PRECISIONS:
        try:
            converted = convert(
                case.runtime, case.signature, precision=precision, rows=case.whole.rows, said=case.whole.said
            )
            found = _compared(case, converted, blank, tolerance)
        except Exception as error:  # noqa: BLE001 -- converters and runtime fail in any way, which is a finding
            said = f"{precision}: {type(error).__name__}: {error}"[:LONGEST_REASON]
            last = last if last.reason else dataclasses.replace(blank, reason=said)
            continue
        last = dataclasses.replace(found, precision=precision)
        if last.verdict is Parity.WITHIN:
            return _with_large(case, last, converted.content, tolerance)
    return Certified(certificate=last)


def _with_large(case: _Case, found: Certificate, content: bytes, tolerance: Tolerance) -> Certified:
    """Add the form for large batches, where there is one that says the same and is quicker."""
    plain = Certified(certificate=found, content=content)
    if found.plan is None or found.plan.task == LABELS:
        return plain
    try:
        trees = trees_of(content, output=found.plan.output)
        if trees is None:
            return plain
        small = FastRuntime(content, case.signature, found.plan)
        large = FastRuntime(content, case.signature, found.plan, large=Large(trees=TreeBits(trees), from_rows=0))
        asked = [case.whole, *([case.holed] if case.holed is not None and found.plan.missing else [])]
        differences = [compare(one.said, large.predict(one.rows)) for one in asked]
    except Exception:  # noqa: BLE001 -- whatever is unusual about the trees, ONNX Runtime answers then
        return plain
    difference = functools.reduce(worse, differences)
    from_rows = quicker_from(small, large, case.whole.rows) if judge(difference, tolerance) is Parity.WITHIN else 0
    if not from_rows:
        return plain
    kept = write_trees(trees)
    certificate = dataclasses.replace(
        found,
        maximum_absolute=max(found.maximum_absolute or 0.0, difference.absolute),
        maximum_relative=max(found.maximum_relative or 0.0, difference.relative),
        large_from_rows=from_rows,
        large_digest=hashlib.sha256(kept).hexdigest(),
    )
    return Certified(certificate=certificate, content=content, large=kept)


def _compared(case: _Case, converted: Converted, blank: Certificate, tolerance: Tolerance) -> Certificate:
    plan = dataclasses.replace(converted.plan, known=_texts(case.whole.rows))
    fast = FastRuntime(converted.content, case.signature, plan)
    difference = compare(case.whole.said, fast.predict(case.whole.rows))
    verdict, compared = judge(difference, tolerance), [case.whole.rows]
    if case.holed is not None and verdict is Parity.WITHIN:
        # Many converters know nothing of missing values; then rows that have some stay with the original.
        with_missing = compare(case.holed.said, fast.predict(case.holed.rows))
        if judge(with_missing, tolerance) is Parity.WITHIN:
            plan, compared = dataclasses.replace(plan, missing=True), [*compared, case.holed.rows]
            difference = worse(difference, with_missing)
    return dataclasses.replace(
        blank,
        verdict=verdict,
        reason="" if verdict is Parity.WITHIN else "the answers are further apart than the tolerance",
        rows_given=case.given,
        rows=sum(len(next(iter(rows.values()))) for rows in compared),
        sample_digest=sample_digest(join_columns([dict(rows) for rows in compared])),
        onnx_digest=hashlib.sha256(converted.content).hexdigest(),
        maximum_absolute=_finite(difference.absolute),
        maximum_relative=_finite(difference.relative),
        label_agreement=difference.label_agreement,
        plan=plan,
    )


def _texts(rows: Columns) -> dict[str, tuple[str, ...]]:
    return {name: tuple(sorted(set(values.tolist()))) for name, values in rows.items() if values.dtype.kind == _TEXT}


def _finite(value: float) -> float | None:
    """Return a number that JSON can hold; None stands for infinitely far apart."""
    return value if value < float("inf") else None


def main() -> int:
    """Do what the spec on standard input asks for, and return the exit status."""
    os.nice(NICENESS)
    report_nothing()  # converters load it, too
    spec = msgspec.json.decode(sys.stdin.buffer.read(), type=CertifySpec)
    tolerance = Tolerance(difference_ppm=spec.difference_ppm, sample_rows=spec.sample_rows)
    try:
        found = certify(
            Path(spec.model), model_digest=spec.model_digest, tolerance=tolerance, allow_pickle=spec.allow_pickle
        )
    except FlyballError as error:  # what the original cannot be loaded for is no fault of ours, and needs no traceback
        sys.stderr.write(error.message)
        return 1
    result = Path(spec.result)
    for name, content in ((MODEL, found.content), (LARGE, found.large)):
        if content:
            (result / name).write_bytes(content)
    (result / CERTIFICATE).write_bytes(canonical_json(found.certificate.content()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
