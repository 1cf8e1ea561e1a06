"""Canonical JSON against the examples that RFC 8785 publishes."""

from __future__ import annotations

import json
import struct
from enum import StrEnum

import pytest

from flyball.kernel.canonical import JsonValue, canonical_json, digest_bytes, digest_json, parse_digest, parse_json
from flyball.kernel.errors import InvalidInput

# RFC 8785, section 3.2.2, and its expected bytes in section 3.2.4.
SAMPLE = r"""{
  "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
  "literals": [null, true, false]
}"""
SAMPLE_BYTES = bytes.fromhex(
    "7b 22 6c 69 74 65 72 61 6c 73 22 3a 5b 6e 75 6c 6c 2c 74 72 75 65 2c 66 61 6c 73 65 5d 2c 22 6e 75 6d 62 65 72 73"
    "22 3a 5b 33 33 33 33 33 33 33 33 33 2e 33 33 33 33 33 33 33 2c 31 65 2b 33 30 2c 34 2e 35 2c 30 2e 30 30 32 2c 31"
    "65 2d 32 37 5d 2c 22 73 74 72 69 6e 67 22 3a 22 e2 82 ac 24 5c 75 30 30 30 66 5c 6e 41 27 42 5c 22 5c 5c 5c 5c 5c"
    "22 2f 22 7d"
)
# RFC 8785, section 3.2.3: keys are ordered by their UTF-16 code units.
UNSORTED = r"""{
  "\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
  "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis"
}"""
SORTED = [
    "Carriage Return",
    "One",
    "Control",
    "Latin Small Letter O With Diaeresis",
    "Euro Sign",
    "Emoji: Grinning Face",
    "Hebrew Letter Dalet With Dagesh",
]
# RFC 8785, appendix B: IEEE 754 bits, and how the number is written.
NUMBERS = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]


def test_the_sample_of_the_rfc_has_the_bytes_of_the_rfc() -> None:
    assert canonical_json(json.loads(SAMPLE)) == SAMPLE_BYTES


def test_keys_are_in_the_order_of_the_rfc() -> None:
    assert list(json.loads(canonical_json(json.loads(UNSORTED))).values()) == SORTED


@pytest.mark.parametrize(("bits", "written"), NUMBERS)
def test_numbers_are_written_as_in_the_rfc(bits: str, written: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical_json(number) == written.encode()


@pytest.mark.parametrize("bits", ["7fffffffffffffff", "7ff0000000000000", "fff0000000000000"])
def test_what_the_rfc_calls_an_error_is_one(bits: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    with pytest.raises(InvalidInput, match="no canonical JSON form"):
        canonical_json(number)


class Colour(StrEnum):
    RED = "red"


def test_an_enumeration_is_written_as_its_value() -> None:
    assert canonical_json({Colour.RED: Colour.RED}) == b'{"red":"red"}'


def _deep() -> JsonValue:
    value: JsonValue = 0
    for _ in range(10_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [2**53, -(2**53), b"bytes", object(), {1: 2}, {"a": {3}}, "\ud800", {"\ud800": 1}, _deep()]
)
def test_what_has_no_canonical_form_is_refused(value: JsonValue) -> None:
    with pytest.raises(InvalidInput, match="no canonical JSON form"):
        canonical_json(value)


@pytest.mark.parametrize("number", [1e20, -1e20, 2.0**53, 2.0**60, 1.7e18])
def test_a_float_beyond_the_exact_integers_can_be_read_back(number: float) -> None:
    written = canonical_json(number)
    assert parse_json(written) == number
    assert canonical_json(parse_json(written)) == written


def test_exact_integers_stay_integers() -> None:
    values = parse_json(b"[9007199254740991, -9007199254740991, 7]")
    assert values == [2**53 - 1, -(2**53) + 1, 7]
    assert isinstance(values, list)
    assert all(isinstance(value, int) for value in values)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000, "{'a': 1}"])
def test_what_is_no_json_is_refused(text: bytes | str) -> None:
    with pytest.raises(InvalidInput, match="no JSON"):
        parse_json(text)


def test_equal_content_has_an_equal_digest() -> None:
    assert digest_json({"b": [1, 2.0], "a": None}) == digest_json({"a": None, "b": [1.0, 2]})
    assert digest_json({"a": 1}) == digest_bytes(b'{"a":1}')


@pytest.mark.parametrize("text", ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 63 + "\n", "٣" * 64])
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no SHA-256 digest") as caught:
        parse_digest(text, field="model")
    assert caught.value.field == "model"
