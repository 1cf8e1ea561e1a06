from __future__ import annotations

import contextlib
import socket
import sqlite3
import subprocess
import sys

import pytest
from tests.unit.server.conftest import SettingsFor

from flyball.kernel.db import open_database
from flyball.kernel.errors import Conflict, InvalidInput
from flyball.kernel.settings import Settings
from flyball.server import migrations
from flyball.server.home import prepare_home
from flyball.server.platform import Platform, open_platform
from flyball.server.up import require_free_address


def test_an_address_in_use_is_refused_with_its_remedy(settings_for: SettingsFor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Conflict, match="FLYBALL_PORT") as raised:
            require_free_address(settings_for(port=str(port)))
    assert raised.value.field == "port"


@pytest.mark.parametrize(("host", "port", "field"), [("192.0.2.1", "5757", "host"), ("127.0.0.1", "0", "port")])
def test_an_address_that_cannot_be_bound_is_refused(
    settings_for: SettingsFor, host: str, port: str, field: str
) -> None:
    with pytest.raises(InvalidInput) as raised:
        require_free_address(settings_for(host=host, port=port))
    assert raised.value.field == field


def test_a_free_address_is_accepted(settings_for: SettingsFor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    require_free_address(settings_for(port=str(port)))


def test_an_older_schema_is_refused_with_its_remedy(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "newest", lambda: "9999")
    with pytest.raises(Conflict, match="run 'flyball db upgrade'"):
        open_platform(platform.settings)


def test_a_newer_schema_is_refused(platform: Platform) -> None:
    with contextlib.closing(sqlite3.connect(platform.settings.home / "flyball.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(Conflict, match="newer than this release"):
        open_platform(platform.settings)


def test_the_database_of_another_program_is_refused_and_left_alone(settings: Settings) -> None:
    prepare_home(settings)
    path = settings.home / "flyball.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE invoices (id INTEGER)")
        connection.commit()
    with (
        contextlib.closing(open_database(settings.resolved_database_url)) as database,
        pytest.raises(Conflict, match="invoices"),
    ):
        migrations.upgrade(database)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert names == [("invoices",)]


def test_the_supervisor_imports_neither_rooms_of_data_nor_a_web_framework() -> None:
    heavy = ("alembic", "pyarrow", "numpy", "duckdb", "starlette", "uvicorn", "obstore", "sklearn", "pandas")
    script = f"import sys, flyball.server.up; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"
