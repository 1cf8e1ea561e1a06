"""Write the reference pages that follow from the code: settings, errors and extension points.

`python tools/reference.py` writes them; `python tools/reference.py --check` fails when one has drifted.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import importlib
import inspect
import sys
import tomllib
from pathlib import Path

from flyball.kernel import errors
from flyball.kernel.errors import ErrorCode, FlyballError
from flyball.kernel.settings import FILE_NAME, PREFIX, Settings

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "reference"
ROOMS = ROOT / "docs" / "rooms"
NOTE = "<!-- Written by tools/reference.py; change the code, then run it. -->"

PORTS = {
    "flyball.artifact_stores": (
        "flyball.artifacts.ports:BlobStore",
        "A function from `Settings` to a store, named after the scheme of its URL.",
    ),
    "flyball.alert_sinks": (
        "flyball.monitoring.sinks.ports:Sink",
        "A class with `options`, named after the kind as the document of sinks writes it.",
    ),
    "flyball.flavours": (
        "flyball.serving.ports:Flavour",
        "A class, named after the flavour's key in an `MLmodel` file.",
    ),
    "flyball.runners": (
        "flyball.kernel.runners.ports:PartRunner",
        "A class without arguments, named as `--runner` calls it.",
    ),
    "flyball.gates": ("flyball.registry.ports:Gate", "A class, named after the rule as policies write it."),
}


def pages() -> dict[Path, str]:
    """Return every page as it should be."""
    return {
        PAGES / "settings.md": settings_page(),
        PAGES / "errors.md": errors_page(),
        PAGES / "extension-points.md": extension_page(),
        **room_pages(),
    }


def room_pages() -> dict[Path, str]:
    """Return a page per room, which is the README beside its code, and their index in the order of the floors."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ][0]
    floors = [[name.strip() for name in layer.split("|")] for layer in reversed(contract["layers"])]
    found: dict[Path, str] = {}
    lines = ["# Rooms", NOTE, "", "From the ground up; a room knows only rooms below it.", ""]
    for height, rooms in enumerate(floors, start=1):
        for room in rooms:
            readme = ROOT / "src" / "flyball" / room / "README.md"
            module = importlib.import_module(f"flyball.{room}")
            promise = (inspect.getdoc(module) or "").splitlines()[0]
            if readme.exists():
                found[ROOMS / f"{room}.md"] = f"{NOTE}\n\n{readme.read_text(encoding='utf-8')}"
                lines.append(f"{height}. [{room}]({room}.md): {promise}")
            else:
                lines.append(f"{height}. {room}: {promise}")
    return {**found, ROOMS / "README.md": "\n".join(lines) + "\n"}


def settings_page() -> str:
    """Describe every setting by the text that stands beside its field."""
    texts = _field_texts(Settings)
    lines = [
        "# Settings",
        NOTE,
        "",
        f"Each is read from `{PREFIX}<NAME>` in the environment, then from `<name>` in `<home>/{FILE_NAME}`, then the default counts.",
        "A key that nobody knows is an error in both places.",
        "",
        "| setting | environment variable | default | meaning |",
        "|---|---|---|---|",
    ]
    for field in dataclasses.fields(Settings):
        default = f"`{field.default}`" if field.default != "" else "empty"
        lines.append(f"| `{field.name}` | `{PREFIX}{field.name.upper()}` | {default} | {texts[field.name]} |")
    return "\n".join(lines) + "\n"


def errors_page() -> str:
    """Describe every error code with the statuses that clients see."""
    from flyball.server.errors import TABLE

    kinds = {kind.code: kind for kind in _error_classes()}
    lines = [
        "# Errors",
        NOTE,
        "",
        'Errors of `/api/v1` are `{"error": {"code", "message", "field"}}`; those of the MLflow protocol are',
        '`{"error_code", "message"}`. A code keeps its meaning over releases; a message may change.',
        "",
        "| code | meaning | status | MLflow: status and code | worth a retry |",
        "|---|---|---|---|---|",
    ]
    for code in ErrorCode:
        kind = kinds[code]
        status, mlflow_status, mlflow_code = TABLE[code]
        meaning = "A fault of Flyball itself; the server's log has the cause." if kind is FlyballError else _first(kind)
        retry = "yes" if kind.retryable else "no"
        lines.append(f"| `{code}` | {meaning} | {status} | {mlflow_status} `{mlflow_code}` | {retry} |")
    return "\n".join(lines) + "\n"


def extension_page() -> str:
    """Describe every entry-point group, its port and what Flyball itself offers there."""
    offers = _project().get("entry-points", {})
    lines = [
        "# Extension points",
        NOTE,
        "",
        "A package adds an implementation by an entry point of one of these groups. It is loaded when it is asked for, never at import;",
        "Flyball's own implementations use the same door.",
    ]
    for group, (port, form) in sorted(PORTS.items()):
        lines += ["", f"## `{group}`", "", f"{form} Port: `{port}`: {_first(_load(port))}", ""]
        lines += ["| name | object | what it does |", "|---|---|---|"]
        for name, target in sorted(offers.get(group, {}).items()):
            lines.append(f"| `{name}` | `{target}` | {_first(_load(target))} |")
    return "\n".join(lines) + "\n"


def _field_texts(cls: type) -> dict[str, str]:
    tree = ast.parse(inspect.getsource(cls)).body[0]
    assert isinstance(tree, ast.ClassDef)
    texts: dict[str, str] = {}
    for field, text in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            assert isinstance(text.value, ast.Constant)
            texts[field.target.id] = " ".join(str(text.value.value).split())
    return texts


def _error_classes() -> list[type[FlyballError]]:
    found = [value for value in vars(errors).values() if isinstance(value, type)]
    return [value for value in found if issubclass(value, FlyballError)]


def _project() -> dict[str, dict[str, dict[str, str]]]:
    project: dict[str, dict[str, dict[str, str]]] = tomllib.loads(
        (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    )["project"]
    return project


def _load(target: str) -> object:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def _first(documented: object) -> str:
    return (inspect.getdoc(documented) or "").split("\n\n")[0].replace("\n", " ")


def main() -> int:
    """Write or check the pages."""
    drifted = 0
    for path, wanted in pages().items():
        present = path.read_text(encoding="utf-8") if path.exists() else ""
        if present == wanted:
            continue
        drifted += 1
        if "--check" in sys.argv:
            name = str(path.relative_to(ROOT))
            print("\n".join(difflib.unified_diff(present.splitlines(), wanted.splitlines(), name, name, lineterm="")))
        else:
            path.write_text(wanted, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    if drifted and "--check" in sys.argv:
        print("run: python tools/reference.py")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
