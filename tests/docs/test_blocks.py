"""Code in the documentation runs, and commands in it exist."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from tests.docs.pages import PAGES, ROOM_PAGES, Block, blocks

ALL = [block for page in (*PAGES, *ROOM_PAGES) for block in blocks(page)]
PYTHON = [block for block in ALL if block.kind.split()[:1] == ["python"]]
TESTED = [block for block in PYTHON if block.kind == "python test"]
SHELL = [block for block in ALL if block.kind in {"console", "bash", "sh", "shell"}]
_CONTINUED = re.compile(r"\\\n\s*")


@pytest.mark.parametrize("block", TESTED, ids=lambda block: block.name)
def test_a_python_block_marked_as_test_runs(block: Block, tmp_path: Path) -> None:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("FLYBALL_")}
    environ["FLYBALL_HOME"] = str(tmp_path / "home")
    answer = subprocess.run(
        [sys.executable, "-c", block.text], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.name)
def test_a_python_block_can_at_least_be_parsed(block: Block) -> None:
    compile(block.text, block.name, "exec")


def commands(block: Block) -> list[list[str]]:
    """Return the `flyball` commands that a block's reader would type."""
    found: list[list[str]] = []
    prompted = any(line.lstrip().startswith("$ ") for line in block.text.splitlines())
    for line in _CONTINUED.sub(" ", block.text).splitlines():
        typed = line.strip()
        if prompted and not typed.startswith("$ "):
            continue  # what the command answers
        for part in re.split(r"\||&&|;|\$\(|\)", typed.removeprefix("$ ").split(" #")[0]):
            try:
                words = shlex.split(part, comments=True)
            except ValueError:  # a quote that another part of the line closes
                words = part.replace('"', " ").replace("'", " ").split()
            if words[:1] == ["flyball"]:
                found.append(words[1:])
    return found


@pytest.mark.parametrize("block", [block for block in SHELL if commands(block)], ids=lambda block: block.name)
def test_the_commands_of_a_block_exist(block: Block) -> None:
    from flyball.cli.main import cli

    for words in commands(block):
        _walk(cli, words)


def _walk(command: click.Command, words: list[str]) -> None:
    """Follow the words down click's tree, and check the options where they end."""
    context = click.Context(command)
    path = ["flyball"]
    rest = list(words)
    while isinstance(command, click.Group):
        while rest and rest[0].startswith("-"):
            rest.pop(0)
        if not rest:
            return
        path.append(rest.pop(0))
        found = command.get_command(context, path[-1])
        known = ", ".join(command.list_commands(context))
        assert found is not None, f"'{' '.join(path)}' is no command; known: {known}"
        command, context = found, click.Context(found, parent=context)
    options = {
        name for parameter in command.get_params(context) for name in (*parameter.opts, *parameter.secondary_opts)
    }
    used = {word.split("=")[0] for word in rest if re.fullmatch(r"--?[a-z][a-z-]*(=.*)?", word)}
    assert used <= options, f"'{' '.join(path)}' has no option {', '.join(sorted(used - options))}"


def test_the_readers_first_commands_are_among_them() -> None:
    readme = [block for block in SHELL if block.page.name == "README.md" and block.page.parent.name != "registry"]
    assert any("make demo" in block.text for block in readme)
    assert any("make test" in block.text for block in readme)
