"""Who may import whom, and what the command line must not drag in."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest
from tests.architecture.source import MODULES, ROOT, SRC, imports_of, name_of

from flyball.cli.main import COMMANDS

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
# What costs start-up time, or is not installed where only the SDK is.
HEAVY = {"numpy", "sqlalchemy", "alembic", "pyarrow", "duckdb", "pandas", "sklearn", "scipy", "starlette", "obstore"}
WEB = {"starlette", "uvicorn", "fastapi", "anyio"}
EDGES = ("server", "client", "cli", "integrations", "demo", "wire")


def test_the_import_contracts_hold() -> None:
    lint = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    answer = subprocess.run(lint, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout


def test_the_floors_name_every_room_and_no_other() -> None:
    floors = next(contract for contract in CONTRACTS if contract["type"] == "layers")
    assert floors["exhaustive"] is True
    named = {room.strip() for floor in floors["layers"] for room in floor.replace("(", "").replace(")", "").split("|")}
    rooms = {path.parent.name for path in SRC.glob("*/__init__.py")}
    assert rooms <= named


def test_rooms_of_the_domain_know_neither_the_wire_nor_the_web() -> None:
    graph = grimp.build_graph("flyball", include_external_packages=True)
    domain = [f"flyball.{path.parent.name}" for path in SRC.glob("*/__init__.py") if path.parent.name not in EDGES]
    assert "flyball.registry" in domain
    for room in domain:
        for module in {room, *graph.find_descendants(room)}:
            imported = graph.find_modules_directly_imported_by(module)
            assert not [name for name in imported if name.startswith("flyball.wire")], f"{module} imports the wire"
            assert not {name.split(".")[0] for name in imported} & WEB, f"{module} imports a web framework"


@pytest.mark.parametrize(
    ("room", "allowed"),
    [("wire", {"kernel", "wire"}), ("client", {"kernel", "wire", "client"}), ("measures", {"kernel", "measures"})],
)
def test_small_rooms_stay_small(room: str, allowed: set[str]) -> None:
    for path in (path for path in MODULES if path.relative_to(SRC).parts[0] == room):
        ours = {name.split(".")[1] for name in imports_of(path) if name.startswith("flyball.")}
        assert ours <= allowed, f"{name_of(path)} imports {ours - allowed}"


def loaded_after(imports: str) -> set[str]:
    """Return the top-level packages that an interpreter has loaded after some imports."""
    program = f"import json, sys\nimport {imports}\nprint(json.dumps(sorted({{n.split('.')[0] for n in sys.modules}})))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(answer.stdout))


def test_the_client_and_the_command_line_start_without_heavy_libraries() -> None:
    loaded = loaded_after("flyball.client, flyball.cli.main")
    assert "click" in loaded
    assert not loaded & HEAVY
    # The standard library and about fifteen small packages; a number far above means that something large slipped in.
    packages = {name for name in loaded if not name.startswith("_")} - sys.stdlib_module_names
    assert len(packages) <= 25, sorted(packages)


@pytest.mark.parametrize("module", sorted(set(COMMANDS.values())))
def test_a_command_is_loaded_without_heavy_libraries(module: str) -> None:
    assert not loaded_after(module) & HEAVY


def test_tables_are_compared_without_a_database_or_another_table_library() -> None:
    assert not loaded_after("flyball.monitoring.comparison.engine") & {
        "sqlalchemy",
        "pandas",
        "scipy",
        "sklearn",
        "duckdb",
    }


def test_a_model_server_starts_without_what_few_requests_need() -> None:
    program = """
import sys
import flyball.server.inference.standalone, flyball.server.inference.process, flyball.server.inference.grpc_server
seldom = {"pandas", "sklearn", "scipy", "onnxruntime", "duckdb", "sqlalchemy", "alembic", "pyarrow.compute", "pyarrow.dataset"}
print(*sorted(seldom & sys.modules.keys()))
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []
