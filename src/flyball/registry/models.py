"""The verbs of registered models: the names under which versions are kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from flyball.kernel.canonical import JsonValue
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.errors import AlreadyExists, NotFound
from flyball.kernel.events import Edge, Event, EventLog, Ref, ref
from flyball.registry import naming
from flyball.registry.entities import ModelVersion, RegisteredModel, RegistryEvent, version_ref
from flyball.registry.ports import DigestOf, EvidenceStore, ModelStore, VersionStore
from flyball.registry.search import search_models, versions_of
from flyball.registry.webhooks import notices
from flyball.registry.webhooks.announcing import Announcer
from flyball.registry.webhooks.entities import Notice
from flyball.tracking.entities import Page
from flyball.tracking.search import page_of


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RegistryStores:
    """Where the registry keeps what it knows."""

    models: ModelStore
    versions: VersionStore
    evidence: EvidenceStore


class RegisteredModels:
    """The half of the registry that knows no version. Each change locks the model's row, so two never overlap."""

    def __init__(
        self,
        stores: RegistryStores,
        *,
        digest_of: DigestOf,
        events: EventLog,
        clock: Clock,
        database: Database,
        announcer: Announcer | None = None,
    ) -> None:
        self._models = stores.models
        self._versions = stores.versions
        self._evidence = stores.evidence
        self._digest_of = digest_of
        self._events = events
        self._clock = clock
        self._database = database
        self._announcer = announcer

    def create_model(
        self, name: str, *, actor: str, description: str = "", tags: Mapping[str, str] | None = None
    ) -> RegisteredModel:
        """Register a name.

        Raises:
            AlreadyExists: the name is taken.
            InvalidInput: a name or tag that cannot be.
        """
        now = self._clock.now_ms()
        model = RegisteredModel(
            name=naming.clean_model_name(name),
            description=naming.clean_description(description),
            tags=naming.clean_tags(tags or {}),
            created_ms=now,
            updated_ms=now,
            created_by=actor,
        )
        with self._database.transaction():
            self._refuse_other_kind(model)
            self._models.add(model)
            payload: dict[str, JsonValue] = {"description": model.description, "tags": dict(model.tags)}
            self._record(RegistryEvent.MODEL_CREATED, model.ref, payload=payload, actor=actor)
            self._announce(notices.model_created(model))
        return model

    def get_model(self, name: str) -> RegisteredModel:
        """Return a model.

        Raises:
            NotFound: there is none of this name.
        """
        return _found(self._models.find(naming.clean_model_name(name)), name)

    def find_model(self, name: str) -> RegisteredModel | None:
        """Return a model, None when there is none."""
        return self._models.find(name)

    def search_models(
        self, filter_text: str = "", *, order_by: Sequence[str] = (), limit: int | None = None, page_token: str = ""
    ) -> Page[RegisteredModel]:
        """Find models, by name unless an order is given; prompts only when the filter asks for them.

        Raises:
            InvalidInput: a filter, an order, a limit or a page token that cannot be read.
        """
        search = search_models(filter_text, order_by=order_by, limit=limit, page_token=page_token)
        return page_of(self._models.search(search), offset=search.offset, limit=search.limit)

    def update_model(self, name: str, *, description: str, actor: str) -> RegisteredModel:
        """Change the description."""
        text = naming.clean_description(description)
        with self._database.transaction():
            model = dataclasses.replace(self._lock(name), description=text, updated_ms=self._clock.now_ms())
            return self._save_model(model, {"description": text}, actor=actor)

    def rename_model(self, name: str, new_name: str, *, actor: str) -> RegisteredModel:
        """Give a model another name; its versions keep their numbers.

        Raises:
            AlreadyExists: the new name is taken, or versions of another model had it: the record names them by it for ever.
        """
        naming.clean_model_name(new_name, field="new_name")
        with self._database.transaction():
            model = self._lock(name)
            if new_name == name:
                return model
            self._refuse_names_of_others(name, new_name)
            self._models.rename(name, new_name)
            renamed = dataclasses.replace(model, name=new_name, updated_ms=self._clock.now_ms())
            self._models.save(renamed)
            edges = [
                Edge(subject=each.ref, relation="renamed-from", object=version_ref(name, each.version))
                for each in self._all_versions(new_name)
            ]
            payload: dict[str, JsonValue] = {"name": name, "new_name": new_name}
            self._record(RegistryEvent.MODEL_RENAMED, renamed.ref, payload=payload, actor=actor, edges=edges)
        return renamed

    def delete_model(self, name: str, *, actor: str) -> None:
        """Remove a model and its versions; their numbers are never given out again."""
        with self._database.transaction():
            model = self._lock(name)
            payload: dict[str, JsonValue] = {"versions": [each.version for each in self._all_versions(name)]}
            self._models.remove(name)
            self._record(RegistryEvent.MODEL_DELETED, model.ref, payload=payload, actor=actor)

    def set_model_tag(self, name: str, key: str, *, value: str, actor: str) -> None:
        """Set a tag of a model."""
        tags = naming.clean_tags({key: value})
        with self._database.transaction():
            model = self._lock(name)
            changed = dataclasses.replace(model, tags={**model.tags, **tags})
            self._save_model(changed, {"tags": tags}, actor=actor)
            self._announce(notices.model_tag_set(changed, key, value))

    def delete_model_tag(self, name: str, key: str, *, actor: str) -> None:
        """Remove a tag of a model; without effect when it is not there."""
        naming.clean_key_spelling(key)
        with self._database.transaction():
            model = self._lock(name)
            if key in model.tags:
                kept = {other: value for other, value in model.tags.items() if other != key}
                self._save_model(dataclasses.replace(model, tags=kept), {"tags_removed": [key]}, actor=actor)
                self._announce(notices.model_tag_deleted(model, key))

    def _refuse_other_kind(self, model: RegisteredModel) -> None:
        """Say that a model and a prompt cannot have one name; that two models cannot is said by the store."""
        taken = self._models.find(model.name)
        if taken is not None and naming.is_prompt(taken.tags) != naming.is_prompt(model.tags):
            raise AlreadyExists(
                f"Tried to create a {_kind(model)} with name {model.name!r}, but the name is already taken by a {_kind(taken)}. "
                "A model and a prompt cannot have the same name.",
                field="name",
            )

    def _refuse_names_of_others(self, name: str, new_name: str) -> None:
        if self._versions.last_number(new_name) and not self._was_named(name, new_name):
            raise AlreadyExists(
                f"Registered Model (name={new_name}) already exists, or did: its version numbers stand in the record. "
                "Choose a name that was never used",
                field="new_name",
            )

    def _was_named(self, name: str, wanted: str) -> bool:
        """Tell whether a model had a name before, and nobody else has had it since."""
        before = None
        while (arrival := self._arrival(name, before=before)) is not None:
            name, before = str(arrival.payload["name"]), arrival.seq
            if name == wanted:
                return all(event.seq < arrival.seq for event in self._events.history(ref("model", wanted)))
        return False

    def _arrival(self, name: str, *, before: int | None) -> Event | None:
        """Return the event by which a model came to its name, None when it was created under it."""
        past = [each for each in self._events.history(ref("model", name)) if before is None or each.seq < before]
        births = {RegistryEvent.MODEL_CREATED.value, RegistryEvent.MODEL_RENAMED.value}
        last = next((each for each in reversed(past) if each.kind in births), None)
        return last if last is not None and last.kind == RegistryEvent.MODEL_RENAMED.value else None

    def _lock(self, name: str) -> RegisteredModel:
        return _found(self._models.lock(naming.clean_model_name(name)), name)

    def _save_model(self, model: RegisteredModel, payload: Mapping[str, JsonValue], *, actor: str) -> RegisteredModel:
        self._models.save(model)
        self._record(RegistryEvent.MODEL_UPDATED, model.ref, payload=payload, actor=actor)
        return model

    def _announce(self, notice: Notice | None) -> None:
        if self._announcer is not None and notice is not None:
            self._announcer.announce(notice)

    def _all_versions(self, name: str) -> list[ModelVersion]:
        return self._versions.search(versions_of(name))

    def _record(
        self,
        kind: RegistryEvent,
        subject: Ref,
        *,
        payload: Mapping[str, JsonValue],
        actor: str,
        edges: Iterable[Edge] = (),
    ) -> None:
        self._events.record(kind, actor=actor, subject=subject, payload=payload, edges=edges)


def _kind(model: RegisteredModel) -> str:
    return "prompt" if naming.is_prompt(model.tags) else "registered model"


def _found(model: RegisteredModel | None, name: str) -> RegisteredModel:
    if model is None:
        raise NotFound(f"Registered Model with name={name} not found", field="name")
    return model
