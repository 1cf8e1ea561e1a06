from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.kernel.canonical import canonical_json
from flyball.pipelines.checking import storable_kind
from flyball.pipelines.entities import ValueKind
from flyball.pipelines.processes import PrintedText
from flyball.pipelines.values import parse_json, read_value, write_value

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON)
def test_json_has_the_same_form_after_it_was_read(value: object) -> None:
    written = canonical_json(value)  # type: ignore[arg-type]

    assert canonical_json(parse_json(written)) == written
    assert parse_json(written) == value


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"\x00\xff", ValueKind.BYTES),
        ({"a": [1, None, "x", 0.5]}, ValueKind.JSON),
        (None, ValueKind.JSON),
        (pa.table({"x": [1, None], "s": ["a", "b"]}), ValueKind.TABLE),
    ],
)
def test_a_value_comes_back_as_it_was_written(value: object, kind: ValueKind, tmp_path: Path) -> None:
    folder = tmp_path / "a=1"
    folder.mkdir()
    assert storable_kind(value) is kind
    write_value(value, kind, folder / "value")

    assert read_value(kind, folder / "value") == value


@given(st.lists(st.binary(max_size=30), max_size=20), st.integers(2, 40))
def test_printed_text_is_kept_from_both_ends(chunks: list[bytes], limit: int) -> None:
    printed, everything = PrintedText(limit), b"".join(chunks)
    for chunk in chunks:
        printed.add(chunk)

    text, half = printed.text(), limit // 2
    if len(everything) <= 2 * half:
        assert text == everything
    else:
        mark = f"\n[... {len(everything) - 2 * half} bytes of output left out ...]\n".encode()
        assert text == everything[:half] + mark + everything[-half:]
