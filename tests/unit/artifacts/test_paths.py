"""Clean paths accept names and refuse everything that could lead elsewhere."""

from __future__ import annotations

import posixpath
import urllib.parse

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flyball.artifacts.paths import below, clean_folder, clean_path, folders_of
from flyball.kernel.errors import InvalidInput


@pytest.mark.parametrize(
    "text",
    [
        "MLmodel",
        "model/data/model.skops",
        "a b/c (1).png",
        "100%.txt",
        "50%20off",
        "..a/b..",
        "...",
        ".hidden",
        "größe/日本.csv",
        "a:b",
    ],
)
def test_an_ordinary_name_is_accepted_as_it_is(text: str) -> None:
    assert clean_path(text) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("/etc/passwd", "absolute"),
        ("//host/share", "absolute"),
        ("../x", r"'\.\.'"),
        ("a/../b", r"'\.\.'"),
        ("a/..", r"'\.\.'"),
        ("./a", r"part '\.'"),
        ("a//b", "empty part"),
        ("a/", "empty part"),
        ("a\\b", "backslash"),
        ("a#b", "#"),
        ("a\x00b", "control"),
        ("a\nb", "control"),
        ("a\x7fb", "control"),
        ("a\u2028b", "control"),
        ("a\ud800b", "control"),
        ("%2e%2e/x", "percent"),
        ("a/%2E%2e/b", "percent"),
        ("a%2fb", "percent"),
        ("a%5Cb", "percent"),
        ("%252e%252e/x", "percent"),
        ("a%25252fb", "percent"),
        ("a%00b", "percent"),
        ("a%23b", "percent"),
        ("x" * 256, "too long"),
        ("é" * 128, "too long"),
        ("/".join(["abc"] * 300), "too long"),
    ],
)
def test_what_could_lead_elsewhere_is_refused_with_its_reason(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why) as caught:
        clean_path(text, field="artifact_path")
    assert caught.value.field == "artifact_path"


def test_a_long_refused_name_is_cut_in_the_message() -> None:
    with pytest.raises(InvalidInput) as caught:
        clean_path("#" * 10_000)
    assert len(caught.value.message) < 400


_TRICKS = st.sampled_from(
    ["..", ".", "/", "\\", "%2e", "%2F", "%25", "%", "2e", "#", "a", "é", "\x00", " ", "~", "%c0%ae"]
)
_TEXTS = st.one_of(st.text(max_size=40), st.lists(_TRICKS, max_size=8).map("".join))


@given(text=_TEXTS)
@example(text="%25%32%65%25%32%65/x")
def test_an_accepted_path_stays_inside_however_often_it_is_decoded(text: str) -> None:
    try:
        accepted = clean_path(text)
    except InvalidInput:
        return
    assert accepted == text
    for _ in range(6):
        assert posixpath.normpath(posixpath.join("/base", text)).startswith("/base/")
        assert "\\" not in text
        assert "\x00" not in text
        text = urllib.parse.unquote(text)


@given(parts=st.lists(st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9_. -]{0,10}", fullmatch=True), min_size=1, max_size=6))
def test_ordinary_parts_make_a_clean_path_that_lies_below_each_of_its_folders(parts: list[str]) -> None:
    path = clean_path("/".join(parts))
    for folder in folders_of(path):
        assert f"{folder}/{below(path, folder)}" == path
    assert len(folders_of(path)) == len(parts) - 1


def test_empty_text_is_the_root_where_a_folder_is_asked_for() -> None:
    assert clean_folder("") == ""
    with pytest.raises(InvalidInput):
        clean_folder("..")
