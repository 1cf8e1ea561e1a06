"""What a version is held against: the profile and the baseline that travel with it as evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from flyball.artifacts.service import Artifacts
from flyball.datasets.profile import Profile
from flyball.kernel.canonical import Digest, JsonValue
from flyball.kernel.errors import InvalidInput, NotFound
from flyball.monitoring.baselines import Baseline
from flyball.monitoring.calibration.judging import Yardstick
from flyball.monitoring.multivariate.samples import RowSample
from flyball.monitoring.reference_columns import table_summary_of
from flyball.monitoring.sketches import Sketches
from flyball.monitoring.summaries import TableSummary
from flyball.registry.entities import EvidenceKind

READ = (EvidenceKind.PROFILE, EvidenceKind.BASELINE, EvidenceKind.SKETCHES)

EvidenceReader: TypeAlias = Callable[[str, int], Mapping[EvidenceKind, Digest]]
"""Return the digest of each kind of evidence of a version, and raise NotFound when there is no such version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What is known of a version. `missing` says why a part is None; `digests` names the parts that are there.

    `inputs` are its features, from its sketches or else from its profile; `outputs` are its answers and `rows` a sample of what it
    learned from, both known from sketches only.
    """

    profile: Profile | None = None
    inputs: TableSummary | None = None
    outputs: TableSummary | None = None
    baseline: Baseline | None = None
    missing: Mapping[EvidenceKind, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    yardstick: Yardstick | None = None
    rows: RowSample | None = None

    @property
    def expects_by(self) -> tuple[str, ...]:
        """The columns on which the quality to expect of a row rests, beside its score; none where there is no such."""
        learned = None if self.baseline is None else self.baseline.expectation
        return () if learned is None else learned.columns


class References:
    """Read the evidence of versions. What cannot be read is named, and never stops a monitor."""

    def __init__(self, evidence: EvidenceReader, artifacts: Artifacts) -> None:
        self._evidence = evidence
        self._artifacts = artifacts

    def of(self, model: str, version: int) -> Reference:
        """Return what a version is held against."""
        try:
            evidence = self._evidence(model, version)
        except NotFound as error:
            return Reference(missing=dict.fromkeys(READ, error.message))
        missing: dict[EvidenceKind, str] = {}
        profile = self._profile(evidence.get(EvidenceKind.PROFILE), missing)
        baseline = self._baseline(evidence.get(EvidenceKind.BASELINE), missing)
        sketches = self._sketches(evidence.get(EvidenceKind.SKETCHES), missing)
        digests = {str(kind): str(evidence[kind]) for kind in READ if kind in evidence}
        known = sketches or (None if profile is None else Sketches(inputs=table_summary_of(profile)))
        return Reference(
            profile=profile,
            inputs=None if known is None else known.inputs,
            outputs=None if known is None else known.outputs,
            rows=None if known is None else known.rows,
            baseline=baseline,
            missing=missing,
            digests=digests,
        )

    def _profile(self, digest: Digest | None, missing: dict[EvidenceKind, str]) -> Profile | None:
        content = self._read(EvidenceKind.PROFILE, digest, missing)
        try:
            return None if content is None else Profile.from_json(content)
        except InvalidInput as error:
            missing[EvidenceKind.PROFILE] = f"the version's profile cannot be read: {error.message}"
            return None

    def _baseline(self, digest: Digest | None, missing: dict[EvidenceKind, str]) -> Baseline | None:
        content = self._read(EvidenceKind.BASELINE, digest, missing)
        try:
            return None if content is None else Baseline.from_json(content)
        except InvalidInput as error:
            missing[EvidenceKind.BASELINE] = f"the version's baseline cannot be read: {error.message}"
            return None

    def _sketches(self, digest: Digest | None, missing: dict[EvidenceKind, str]) -> Sketches | None:
        content = self._read(EvidenceKind.SKETCHES, digest, missing)
        try:
            return None if content is None else Sketches.from_json(content)
        except InvalidInput as error:
            missing[EvidenceKind.SKETCHES] = f"the version's sketches cannot be read: {error.message}"
            return None

    def _read(self, kind: EvidenceKind, digest: Digest | None, missing: dict[EvidenceKind, str]) -> JsonValue:
        if digest is None:
            missing[kind] = f"the version carries no {kind} to hold against"
            return None
        try:
            return self._artifacts.read_json(digest)
        except NotFound as error:
            missing[kind] = f"the version's {kind} cannot be read: {error.message}"
            return None
