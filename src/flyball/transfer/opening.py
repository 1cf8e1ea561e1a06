"""From what the user names to a source: a database URL, a server URL, or a folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from flyball.kernel.errors import InvalidInput
from flyball.transfer.mlflow.files import LocatedFiles
from flyball.transfer.mlflow.folder import MlflowFolder
from flyball.transfer.mlflow.http import MlflowHttp
from flyball.transfer.mlflow.proxy import ProxyFiles
from flyball.transfer.mlflow.server import MlflowServer
from flyball.transfer.ports import Source
from flyball.transfer.sql.mlflow_database import MlflowDatabase

WEB = ("http://", "https://")
DATABASES = ("sqlite", "postgres", "postgresql", "mysql", "mssql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who asks a server: a token, or a name with a password."""

    token: str = field(default="", repr=False)
    username: str = ""
    password: str = field(default="", repr=False)


def open_source(text: str, *, artifacts: str = "", credentials: Credentials | None = None) -> Source:
    """Open a source of MLflow.

    Args:
        text: a database URL, the URL of a server, or a folder.
        artifacts: what `mlflow-artifacts:/` stands for in a database or a folder: a folder, or the URL of a server.
        credentials: for a server.

    Raises:
        FlyballError: it is none of these, cannot be reached, or is of a kind that is not read.
    """
    who = credentials or Credentials()
    if text.startswith(WEB):
        return MlflowServer(_http(text, who))
    scheme = urlsplit(text).scheme.split("+")[0]
    behind = _behind(artifacts, who)
    if scheme in DATABASES:
        return MlflowDatabase(text, files=LocatedFiles(behind=behind))
    path = Path(unquote(urlsplit(text).path)) if scheme == "file" else Path(text)
    if not path.is_dir():
        raise InvalidInput(
            f"'{text}' is no database URL (sqlite:///...), no server URL (http://...) and no folder", field="source"
        )
    return MlflowFolder(path, behind=behind)


def _http(url: str, who: Credentials) -> MlflowHttp:
    return MlflowHttp(url, token=who.token, username=who.username, password=who.password)


def _behind(artifacts: str, who: Credentials) -> Path | ProxyFiles | None:
    if not artifacts:
        return None
    if artifacts.startswith(WEB):
        return ProxyFiles(_http(artifacts, who))
    path = Path(artifacts).absolute()
    if not path.is_dir():
        raise InvalidInput(f"there is no folder {path}", field="artifacts")
    return path
