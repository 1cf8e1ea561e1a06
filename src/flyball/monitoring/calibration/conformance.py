"""The promises of the port of calibrations, as a pytest class."""

from __future__ import annotations

from dataclasses import replace

from flyball.monitoring.calibration.entities import Backcheck, Calibration, FeatureBins, FeatureCalibration, Power
from flyball.monitoring.calibration.ports import CalibrationStore

MADE = Calibration(
    monitor="watch",
    version=1,
    false_alarms="1 per 90d",
    chance=1 / 90,
    window_ms=86_400_000,
    origin_ms=0,
    cell_ms=86_400_000,
    history_start_ms=0,
    history_end_ms=86_400_000,
    windows=1,
    needed=89,
    unmatched={"year": "too short"},
    null=(0.5, 1.0 / 3.0),
    features=(
        FeatureCalibration(
            bins=FeatureBins(feature="x", measure="wasserstein", cuts=(0.0, 1.0)),
            shares=((0.1, 0.8, 0.1),),
            centre=0.1,
            scale=0.2,
            threshold=0.3,
            skew=0.0,
        ),
    ),
    backcheck=Backcheck(windows=1, alarms=0, lower=0.0, upper=1.0, holds=True),
    power=(
        Power(
            change="shift",
            size=1.0,
            unit="standard deviations",
            feature="x",
            within_windows=3,
            probability=0.8,
            lower=0.7,
            upper=0.9,
            tried=100,
        ),
    ),
)


class CalibrationStoreConformance:
    """A fixture `store` provides an empty store."""

    def test_a_calibration_comes_back_as_it_was(self, store: CalibrationStore) -> None:
        store.add(MADE, digest=MADE.digest, now_ms=1)
        assert store.find("watch", 1) == MADE
        assert store.find_digest("watch", 1) == MADE.digest

    def test_the_newest_counts(self, store: CalibrationStore) -> None:
        newer = replace(MADE, windows=2)
        store.add(MADE, digest=MADE.digest, now_ms=2)
        store.add(newer, digest=newer.digest, now_ms=1)
        assert store.find("watch", 1) == newer
        assert store.find_digest("watch", 1) == newer.digest

    def test_monitors_and_versions_have_their_own(self, store: CalibrationStore) -> None:
        store.add(MADE, digest=MADE.digest, now_ms=1)
        assert store.find("watch", 2) is None
        assert store.find("other", 1) is None
        assert store.find_digest("watch", 2) is None

    def test_the_history_holds_every_version_the_last_first(self, store: CalibrationStore) -> None:
        other = replace(MADE, version=2)
        store.add(MADE, digest=MADE.digest, now_ms=1)
        store.add(other, digest=other.digest, now_ms=2)
        store.add(replace(MADE, monitor="other"), digest=MADE.digest, now_ms=3)
        found = store.history("watch", limit=9)
        assert [(one.calibration, one.digest, one.created_ms) for one in found] == [
            (other, other.digest, 2),
            (MADE, MADE.digest, 1),
        ]
        assert store.history("watch", limit=1) == found[:1]
