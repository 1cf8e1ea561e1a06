"""The registry of an MLflow server, over REST."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from flyball.registry.entities import RegisteredModel
from flyball.registry.naming import PROMPT_TAG
from flyball.transfer.entities import FoundModel
from flyball.transfer.mlflow.answers import read_list, read_number, read_pairs, read_text, read_version
from flyball.transfer.mlflow.http import Answer, MlflowHttp

API = "/api/2.0/mlflow/"
PAGE = "1000"
# A search leaves prompts out unless it asks for them.
PROMPTS = f"tags.`{PROMPT_TAG}` = 'true'"


class ServerRegistry:
    """The registered models of one server."""

    def __init__(self, http: MlflowHttp) -> None:
        self._http = http

    def models(self) -> Iterator[FoundModel]:
        """Yield the models, prompts after the others."""
        seen: set[str] = set()
        for condition in ("", PROMPTS):
            for each in self._pages("registered-models/search", condition, "registered_models"):
                name = read_text(each, "name")
                if name not in seen:
                    seen.add(name)
                    yield self._found(name, prompt=bool(condition))

    def _found(self, name: str, *, prompt: bool) -> FoundModel:
        answer = cast("Answer", self._http.get(API + "registered-models/get", {"name": name})["registered_model"])
        # The language of filters knows no escape: a name may hold one kind of quote, not both.
        quote = '"' if "'" in name else "'"
        condition = f"name = {quote}{name}{quote}" + (f" AND {PROMPTS}" if prompt else "")
        versions = [read_version(each) for each in self._pages("model-versions/search", condition, "model_versions")]
        versions.sort(key=lambda each: each.version)
        aliases = {read_text(each, "alias"): read_number(each, "version") for each in read_list(answer.get("aliases"))}
        model = RegisteredModel(
            name=name,
            description=read_text(answer, "description"),
            tags=read_pairs(answer.get("tags")),
            aliases=aliases,
            created_ms=read_number(answer, "creation_timestamp"),
            updated_ms=read_number(answer, "last_updated_timestamp"),
            created_by=read_text(answer, "user_id"),
        )
        return FoundModel(model=model, versions=tuple(versions), last=max((v.version for v in versions), default=0))

    def _pages(self, path: str, condition: str, field: str) -> Iterator[Answer]:
        token = ""
        while True:
            asked = {"max_results": PAGE, **({"filter": condition} if condition else {})}
            answer = self._http.get(API + path, {**asked, **({"page_token": token} if token else {})})
            yield from read_list(answer.get(field))
            token = read_text(answer, "next_page_token")
            if not token:
                return
