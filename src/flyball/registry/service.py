"""The verbs of the registry: immutable versions, and the aliases that people and automation move."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence

from flyball.kernel.canonical import Digest, JsonValue, digest_json, parse_digest
from flyball.kernel.errors import Conflict, InvalidInput, NotFound
from flyball.kernel.events import Edge, ref
from flyball.registry import naming
from flyball.registry.entities import (
    ANY,
    UNKNOWN_FILES,
    EvidenceKind,
    Expected,
    ModelVersion,
    RegistryEvent,
    Stage,
    version_ref,
)
from flyball.registry.models import RegisteredModels
from flyball.registry.search import search_versions
from flyball.registry.sources import Registered, parse_registered
from flyball.registry.webhooks import notices
from flyball.tracking.entities import Page
from flyball.tracking.search import page_of

_ARCHIVABLE = frozenset({Stage.STAGING, Stage.PRODUCTION})


class Registry(RegisteredModels):
    """Versions of registered models, their aliases, stages, tags and evidence."""

    def create_version(
        self,
        name: str,
        *,
        source: str,
        actor: str,
        run_id: str = "",
        model_id: str = "",
        run_link: str = "",
        description: str = "",
        tags: Mapping[str, str] | None = None,
        edges: Iterable[Edge] = (),
    ) -> ModelVersion:
        """Register files as the next version of a model.

        A source whose files are not kept here makes a version without a digest: it is found, tagged and moved like any
        other, and can be neither judged nor served.

        Raises:
            NotFound: there is no such model, or no such version where the source names one.
            InvalidInput: the source lies in another run or logged model than the one named beside it.
        """
        draft = ModelVersion(
            name=name,
            version=0,
            source=naming.clean_source(source),
            location=source,
            run_id=naming.clean_reference(run_id, field="run_id"),
            model_id=naming.clean_reference(model_id, field="model_id"),
            run_link=naming.clean_reference(run_link, field="run_link"),
            digest=Digest(""),
            description=naming.clean_description(description),
            tags=naming.clean_tags(tags or {}),
            created_ms=self._clock.now_ms(),
            updated_ms=self._clock.now_ms(),
            created_by=actor,
        )
        with self._database.transaction():
            model = self._lock(name)
            found = self._with_files(draft, prompt=naming.is_prompt({**draft.tags, **model.tags}))
            version = dataclasses.replace(found, version=self._versions.next_number(name))
            self._versions.add(version)
            self._models.save(dataclasses.replace(model, updated_ms=version.created_ms))
            self._record(
                RegistryEvent.VERSION_CREATED,
                version.ref,
                payload=_birth(version),
                actor=actor,
                edges=(*_made_by(version), *edges),
            )
            self._announce(notices.version_created(version))
        return version

    def get_version(self, name: str, version: int) -> ModelVersion:
        """Return a version.

        Raises:
            NotFound: there is none of this name and number.
        """
        found = self._versions.find(naming.clean_model_name(name), version)
        if found is None:
            raise _no_version(name, version)
        return found

    def search_versions(
        self, filter_text: str = "", *, order_by: Sequence[str] = (), limit: int | None = None, page_token: str = ""
    ) -> Page[ModelVersion]:
        """Find versions, newest change first unless an order is given; prompts only when the filter asks for them.

        Raises:
            InvalidInput: a filter, an order, a limit or a page token that cannot be read.
        """
        search = search_versions(filter_text, order_by=order_by, limit=limit, page_token=page_token)
        return page_of(self._versions.search(search), offset=search.offset, limit=search.limit)

    def latest_versions(self, name: str, stages: Collection[str] = ()) -> list[ModelVersion]:
        """Return the newest version of each stage, or of the stages asked for.

        Raises:
            NotFound: there is no such model.
            InvalidInput: there is no such stage.
        """
        wanted = {naming.parse_stage(stage) for stage in stages} or set(Stage)
        self.get_model(name)
        return [version for version in self._versions.newest([name]) if version.stage in wanted]

    def newest_of(self, names: Collection[str]) -> dict[str, list[ModelVersion]]:
        """Return the newest version of each stage for many models at once."""
        found: dict[str, list[ModelVersion]] = {name: [] for name in names}
        for version in self._versions.newest(names):
            found[version.name].append(version)
        return found

    def update_version(self, name: str, version: int, *, description: str, actor: str) -> ModelVersion:
        """Change the description; files, source and digest of a version never change."""
        text = naming.clean_description(description)
        with self._database.transaction():
            found = self._lock_version(name, version)
            changed = dataclasses.replace(found, description=text, updated_ms=self._clock.now_ms())
            return self._save_version(changed, {"description": text}, actor=actor)

    def delete_version(self, name: str, version: int, *, actor: str) -> None:
        """Remove a version and the aliases that point at it; its number is never given out again."""
        with self._database.transaction():
            found = self._lock_version(name, version)
            self._versions.remove(name, version)
            self._touch(name)
            payload: dict[str, JsonValue] = {"digest": found.digest, "aliases": list(found.aliases)}
            self._record(RegistryEvent.VERSION_DELETED, found.ref, payload=payload, actor=actor)

    def set_version_tag(self, name: str, version: int, *, key: str, value: str, actor: str) -> None:
        """Set a tag of a version."""
        tags = naming.clean_tags({key: value})
        with self._database.transaction():
            found = self._lock_version(name, version)
            changed = dataclasses.replace(found, tags={**found.tags, **tags})
            self._save_version(changed, {"tags": tags}, actor=actor)
            self._announce(notices.version_tag_set(self.get_model(name), version, key=key, value=value))

    def delete_version_tag(self, name: str, version: int, *, key: str, actor: str) -> None:
        """Remove a tag of a version; without effect when it is not there."""
        naming.clean_key_spelling(key)
        with self._database.transaction():
            found = self._lock_version(name, version)
            if key in found.tags:
                kept = {other: value for other, value in found.tags.items() if other != key}
                self._save_version(dataclasses.replace(found, tags=kept), {"tags_removed": [key]}, actor=actor)
                self._announce(notices.version_tag_deleted(self.get_model(name), version, key=key))

    def set_stage(
        self, name: str, version: int, *, stage: str, archive_existing: bool = False, actor: str
    ) -> ModelVersion:
        """Move a version to a stage, and on request the other versions of that stage to the archive.

        Raises:
            InvalidInput: there is no such stage, or none from which others are archived.
        """
        wanted = naming.parse_stage(stage)
        if archive_existing and wanted not in _ARCHIVABLE:
            raise InvalidInput(
                "Model version transition cannot archive existing model versions because "
                f"'{wanted}' is not an Active stage. Valid stages are ['Staging', 'Production']",
                field="archive_existing_versions",
            )
        with self._database.transaction():
            found = self._lock_version(name, version)
            changed = dataclasses.replace(found, stage=wanted, updated_ms=self._clock.now_ms())
            archived = self._archive_others(changed) if archive_existing else []
            self._versions.save(changed)
            self._touch(name)
            payload: dict[str, JsonValue] = {"stage": wanted, "previous": found.stage, "archived": archived}
            self._record(RegistryEvent.STAGE_CHANGED, found.ref, payload=payload, actor=actor)
        return changed

    # Aliases

    def set_alias(self, name: str, alias: str, version: int, *, expected: int | Expected | None, actor: str) -> None:
        """Point an alias at a version, if it still points where the caller saw it.

        Args:
            name: the model.
            alias: for example `champion`.
            version: where it shall point.
            expected: the version it points at now, None when it must not exist yet, ANY to move it whatever it is.
            actor: who moves it.

        Raises:
            Conflict: it points elsewhere meanwhile; the message says where.
            NotFound: there is no such version.
        """
        naming.clean_alias(alias)
        with self._database.transaction():
            target = self._lock_version(name, version)
            model = self.get_model(name)
            previous = model.aliases.get(alias)
            _check_expected(alias, previous, expected)
            if previous == version:
                return
            self._models.save(dataclasses.replace(model, aliases={**model.aliases, alias: version}))
            payload: dict[str, JsonValue] = {
                "alias": alias,
                "version": version,
                "previous": previous,
                "digest": target.digest,
            }
            self._record(RegistryEvent.ALIAS_MOVED, model.ref, payload=payload, actor=actor)
            self._announce(notices.alias_set(model, alias, version))

    def remove_alias(self, name: str, alias: str, *, expected: int | Expected | None = ANY, actor: str) -> None:
        """Remove an alias; without effect when it is not there.

        Raises:
            Conflict: it does not point where the caller saw it.
        """
        naming.clean_alias_spelling(alias)
        with self._database.transaction():
            model = self._lock(name)
            previous = model.aliases.get(alias)
            _check_expected(alias, previous, expected)
            if previous is None:
                return
            kept = {other: number for other, number in model.aliases.items() if other != alias}
            self._models.save(dataclasses.replace(model, aliases=kept))
            payload: dict[str, JsonValue] = {"alias": alias, "previous": previous}
            self._record(RegistryEvent.ALIAS_REMOVED, model.ref, payload=payload, actor=actor)
            self._announce(notices.alias_removed(model, alias))

    def version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """Return the version an alias points at; `latest` is the newest one.

        Raises:
            NotFound: there is no such model or alias.
        """
        if naming.clean_alias_spelling(alias).lower() == naming.LATEST:
            return self.latest_version(name)
        number = self.get_model(name).aliases.get(alias)
        if number is None:
            raise NotFound(f"Registered model alias {alias} not found.", field="alias")
        return self.get_version(name, number)

    def latest_version(self, name: str) -> ModelVersion:
        """Return the version with the greatest number.

        Raises:
            NotFound: there is no such model, or it has no version.
        """
        newest = self.latest_versions(name)
        if not newest:
            raise NotFound(f"Latest version not found for model {name}.", field="name")
        return max(newest, key=lambda version: version.version)

    # Evidence

    def attach(self, name: str, version: int, kind: str, digest: str, *, actor: str) -> None:
        """Set the evidence of a kind; what stood there before stays in the events.

        Raises:
            InvalidInput: an unknown kind, or no digest.
            NotFound: there is no such version.
        """
        parsed, stored = naming.parse_evidence_kind(kind), parse_digest(digest)
        with self._database.transaction():
            found = self._lock_version(name, version)
            previous = self._evidence.read(name, version).get(parsed)
            if previous == stored:
                return
            self._evidence.attach(name, version, kind=parsed, digest=stored)
            payload: dict[str, JsonValue] = {"kind": parsed, "digest": stored, "previous": previous}
            self._record(RegistryEvent.EVIDENCE_ATTACHED, found.ref, payload=payload, actor=actor)

    def evidence(self, name: str, version: int) -> dict[EvidenceKind, Digest]:
        """Return the evidence of a version, by kind.

        Raises:
            NotFound: there is no such version.
        """
        self.get_version(name, version)
        return self._evidence.read(name, version)

    def _with_files(self, draft: ModelVersion, *, prompt: bool) -> ModelVersion:
        """Return the draft with the digest of its files, and what a version it is copied from knows of them."""
        if prompt:
            return _as_prompt(draft)
        registered = parse_registered(draft.source)
        if registered is not None:
            return self._as_copy(draft, registered)
        digest = self._digest_of(draft.source, draft.run_id, draft.model_id)
        return dataclasses.replace(draft, digest=digest or UNKNOWN_FILES)

    def _as_copy(self, draft: ModelVersion, registered: Registered) -> ModelVersion:
        if naming.is_prompt(self.get_model(registered.name).tags):
            raise InvalidInput(f"'{draft.source}' is a prompt, which no model can be copied from", field="source")
        origin = (
            self.version_by_alias(registered.name, registered.alias)
            if registered.alias
            else self.get_version(registered.name, naming.parse_version(registered.version))
        )
        for field, given, known in (
            ("run_id", draft.run_id, origin.run_id),
            ("model_id", draft.model_id, origin.model_id),
        ):
            if given and given != known:
                raise InvalidInput(f"{draft.source} has {field} '{known}', not '{given}'; leave it out", field=field)
        return dataclasses.replace(
            draft,
            # An alias moves later; the version it pointed at when this copy was made does not.
            source=f"models:/{origin.name}/{origin.version}",
            digest=origin.digest,
            location=origin.location,
            run_id=origin.run_id,
            model_id=origin.model_id,
        )

    def _touch(self, name: str) -> None:
        """Write down that something about a locked model changed now."""
        self._models.save(dataclasses.replace(self.get_model(name), updated_ms=self._clock.now_ms()))

    def _lock_version(self, name: str, version: int) -> ModelVersion:
        if self._models.lock(naming.clean_model_name(name)) is None:
            raise _no_version(name, version)
        return self.get_version(name, version)

    def _save_version(self, version: ModelVersion, payload: Mapping[str, JsonValue], *, actor: str) -> ModelVersion:
        self._versions.save(version)
        self._record(RegistryEvent.VERSION_UPDATED, version.ref, payload=payload, actor=actor)
        return version

    def _archive_others(self, version: ModelVersion) -> list[int]:
        """Archive who has the stage that `version` takes, at the same time."""
        archived: list[int] = []
        for other in self._all_versions(version.name):
            if other.stage is version.stage and other.version != version.version:
                self._versions.save(dataclasses.replace(other, stage=Stage.ARCHIVED, updated_ms=version.updated_ms))
                archived.append(other.version)
        return archived


def _no_version(name: str, version: int) -> NotFound:
    return NotFound(f"Model Version (name={name}, version={version}) not found", field="version")


def _as_prompt(draft: ModelVersion) -> ModelVersion:
    """Take the tags for the files: that is where the MLflow client keeps a prompt's text."""
    if ":" in draft.source or "/" in draft.source:
        raise InvalidInput("the source of a prompt is a word such as 'prompt-template', not a place", field="source")
    return dataclasses.replace(draft, digest=digest_json({"source": draft.source, "tags": dict(draft.tags)}))


def _check_expected(alias: str, previous: int | None, expected: int | Expected | None) -> None:
    if expected is ANY or expected == previous:
        return
    points = f"points at version {previous}" if previous is not None else "does not exist"
    wanted = f"version {expected}" if expected is not None else "no version"
    raise Conflict(f"alias '{alias}' {points} now, not at {wanted}: look again before moving it", field="alias")


def _birth(version: ModelVersion) -> dict[str, JsonValue]:
    return {
        "source": version.source,
        "location": version.location,
        "run_id": version.run_id,
        "model_id": version.model_id,
        "digest": version.digest,
        "tags": dict(version.tags),
    }


def _made_by(version: ModelVersion) -> list[Edge]:
    causes = [ref("run", version.run_id)] if version.run_id else []
    causes += [ref("logged-model", version.model_id)] if version.model_id else []
    registered = parse_registered(version.source)
    if registered is not None and registered.version:
        causes.append(version_ref(registered.name, int(registered.version)))
    return [Edge(subject=version.ref, relation="made-by", object=cause) for cause in causes]
