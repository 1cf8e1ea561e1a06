from __future__ import annotations

from alembic.config import Config
from alembic.script import ScriptDirectory

from flyball.kernel.db import Database, open_database
from flyball.server import migrations


def test_the_files_of_the_history_are_numbered_as_they_follow_each_other() -> None:
    configuration = Config()
    configuration.set_main_option("script_location", str(migrations.FOLDER))
    configuration.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(configuration)
    assert [script.revision for script in reversed(list(scripts.walk_revisions()))] == migrations.revisions()
    assert scripts.get_current_head() == migrations.newest()


def test_an_upgraded_database_is_at_the_newest_revision_and_stays_there(database: Database) -> None:
    assert migrations.current(database) == migrations.newest()
    migrations.upgrade(database)
    migrations.require_newest(database)


def test_an_empty_database_is_at_no_revision(database_url: str) -> None:
    opened = open_database(database_url)
    assert migrations.current(opened) is None
    opened.close()
