"""Take over registered models with their versions, tags, aliases and stages, after the files of their runs."""

from __future__ import annotations

import dataclasses

from flyball.kernel.canonical import JsonValue, digest_json
from flyball.kernel.errors import FlyballError
from flyball.kernel.events import Edge, Ref, ref
from flyball.registry import naming
from flyball.registry.entities import UNKNOWN_FILES, ModelVersion, RegisteredModel
from flyball.registry.sources import parse_registered
from flyball.transfer.contents import registered_model_digest, version_digest
from flyball.transfer.entities import FoundModel, Imported, Kind
from flyball.transfer.events import TransferEvent
from flyball.transfer.locations import Whereabouts, whereabouts
from flyball.transfer.ports import Source
from flyball.transfer.report import Outcome, Report
from flyball.transfer.target import Target

CHANGED = "it was changed at the source since it was imported; what is here was left as it is"
TAKEN = "a registered model of this name is here and did not come from this source; it was left as it is"
NUMBER_TAKEN = "a version of this number is here with other content; it was left as it is"
NO_FILES = "no files were found for it here; the version was taken without files"


class RegistryImport:
    """The registry of one source. Versions that were copied from another model's come last, when that one is here."""

    def __init__(self, source: Source, target: Target, report: Report) -> None:
        self._source = source.description.name
        self._target = target
        self._report = report
        self._later: list[FoundModel] = []

    def take(self, found: FoundModel) -> None:
        """Take a model over, or put it off until those are here from which its versions were copied."""
        copied = (parse_registered(version.source) for version in found.versions)
        if any(each is not None and each.name != found.model.name for each in copied):
            self._later.append(found)
            return
        self._take(found)

    def finish(self) -> None:
        """Take over what was put off. A chain of copies needs one round for each link; the last round takes what is left."""
        while self._later:
            waiting, names = self._later, {found.model.name for found in self._later}
            free = [found for found in waiting if not self._origins(found) & (names - {found.model.name})] or waiting
            for found in free:
                self._take(found)
            self._later = [found for found in waiting if found not in free]

    def _origins(self, found: FoundModel) -> set[str]:
        copied = (parse_registered(version.source) for version in found.versions)
        return {each.name for each in copied if each is not None}

    def _take(self, found: FoundModel) -> None:
        model = found.model
        try:
            naming.clean_model_name(model.name)
        except FlyballError as error:
            self._report.trouble(Kind.MODEL, model.name, outcome=Outcome.REFUSED, reason=error.message)
            return
        known = self._target.imports.find(self._source, Kind.MODEL, model.name)
        here = self._target.registry.models.find(model.name)
        if here is not None and known is None and not self._same(model):
            self._report.trouble(Kind.MODEL, model.name, outcome=Outcome.CONFLICT, reason=TAKEN)
            return
        with self._target.database.transaction():
            if here is None:
                self._add(model)
            versions = [self._version(model, version) for version in found.versions]
            self._target.finish.reserve_numbers(model.name, found.last)
            if here is None:
                self._alias(model)
        self._count(model, versions, known=known, new=here is None)

    def _same(self, model: RegisteredModel) -> bool:
        return self._target.imports.same(Kind.MODEL, model.name, registered_model_digest(model))

    def _count(self, model: RegisteredModel, versions: list[Outcome], *, known: Imported | None, new: bool) -> None:
        for outcome in (Outcome.ADDED, Outcome.UNCHANGED):
            if versions.count(outcome):
                self._report.count(Kind.VERSION, outcome, versions.count(outcome))
        if new:
            self._report.count(Kind.MODEL, Outcome.ADDED)
        elif known is not None and known.digest != registered_model_digest(model):
            self._report.trouble(Kind.MODEL, model.name, outcome=Outcome.CONFLICT, reason=CHANGED)
        else:
            self._report.count(Kind.MODEL, Outcome.UNCHANGED)

    def _add(self, model: RegisteredModel) -> None:
        by = model.created_by or self._target.actor
        self._target.registry.models.add(dataclasses.replace(model, aliases={}, created_by=by))
        self._put(Kind.MODEL, model.name, registered_model_digest(model))
        payload: dict[str, JsonValue] = {
            "source": self._source,
            "tags": dict(model.tags),
            "aliases": dict(model.aliases),
            "description": model.description,
        }
        self._target.record(TransferEvent.MODEL_ADDED, model.ref, payload)

    def _alias(self, model: RegisteredModel) -> None:
        kept: dict[str, int] = {}
        for alias, number in model.aliases.items():
            try:
                naming.clean_alias(alias)
            except FlyballError as error:
                key = f"{model.name}@{alias}"
                self._report.trouble(Kind.MODEL, key, outcome=Outcome.REFUSED, reason=error.message)
                continue
            if self._target.registry.versions.find(model.name, number) is not None:
                kept[alias] = number
        here = self._target.registry.models.find(model.name)
        assert here is not None, "it was added in this transaction"
        self._target.registry.models.save(dataclasses.replace(here, aliases=kept))

    def _version(self, model: RegisteredModel, version: ModelVersion) -> Outcome:
        key, digest = f"{model.name}/{version.version}", version_digest(version)
        known = self._target.imports.find(self._source, Kind.VERSION, key)
        if self._target.registry.versions.find(model.name, version.version) is not None:
            same = self._target.imports.same(Kind.VERSION, key, digest)
            if (known.digest == digest) if known else same:
                return Outcome.UNCHANGED
            reason = CHANGED if known else NUMBER_TAKEN
            self._report.trouble(Kind.VERSION, key, outcome=Outcome.CONFLICT, reason=reason)
            return Outcome.CONFLICT
        whole = self._with_files(version, prompt=naming.is_prompt(model.tags))
        whole = dataclasses.replace(whole, created_by=version.created_by or self._target.actor, aliases=())
        self._target.registry.versions.add(whole)
        self._put(Kind.VERSION, key, digest)
        payload: dict[str, JsonValue] = {
            "source": self._source,
            "from": version.source,
            "location": whole.location,
            "digest": whole.digest,
            "stage": str(whole.stage),
            "tags": dict(whole.tags),
        }
        self._target.record(TransferEvent.VERSION_ADDED, whole.ref, payload, edges=_edges(whole))
        return Outcome.ADDED

    def _with_files(self, version: ModelVersion, *, prompt: bool) -> ModelVersion:
        """Return the version with the place and the digest of its files here."""
        if prompt:  # its text is in its tags
            words = digest_json({"source": version.source, "tags": dict(version.tags)})
            return dataclasses.replace(version, digest=words, location=version.source)
        registered = parse_registered(version.source)
        if registered is not None and registered.version:
            origin = self._target.registry.versions.find(registered.name, int(registered.version))
            if origin is not None:
                return dataclasses.replace(version, digest=origin.digest, location=origin.location)
        # `location` is the place that the source resolved the version's source to, if it did.
        for text in (version.location, version.source):
            place = whereabouts(text)
            location = None if place is None else self._location(place)
            if place is not None and location is not None:
                digest = self._target.artifacts.tree_digest(place.root, place.folder)
                model_id = version.model_id or (place.key if place.kind == "model" else "")
                return dataclasses.replace(version, digest=digest, location=location, model_id=model_id)
        self._report.missing(f"model-version/{version.name}/{version.version}", "", reason=NO_FILES)
        return dataclasses.replace(version, digest=UNKNOWN_FILES, location=version.source)

    def _location(self, place: Whereabouts) -> str | None:
        if not self._target.artifacts.walk(place.root, place.folder):
            return None
        if place.kind == "model":
            model = self._target.tracking.models.find(place.key)
            uri = None if model is None else model.artifact_uri
        else:
            run = self._target.tracking.runs.find(place.key)
            uri = None if run is None else run.artifact_uri
        return None if uri is None else f"{uri}/{place.folder}".rstrip("/")

    def _put(self, kind: Kind, key: str, digest: str) -> None:
        self._target.imports.put(
            Imported(source=self._source, kind=kind, source_key=key, target_key=key, digest=digest, complete=True)
        )


def _edges(version: ModelVersion) -> list[Edge]:
    causes: list[Ref] = [ref("run", version.run_id)] if version.run_id else []
    causes += [ref("logged-model", version.model_id)] if version.model_id else []
    return [Edge(subject=version.ref, relation="made-by", object=cause) for cause in causes]
