"""What a monitor's rules of quality would find: losses planted into the history's own windows, judged as the platform judges them.

Losses are planted block by block of time, so what the rows of a block have in common stays. Of accuracy, right answers become wrong
ones, in all rows or in a part of each block's rows drawn at random; of a mean loss, every row's grows alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flyball.kernel.canonical import digest_json
from flyball.measures.intervals import Interval, wilson
from flyball.measures.metrics import ratio
from flyball.measures.resampling import bound_figure
from flyball.measures.samples import Floats
from flyball.monitoring.calibration.block_losses import RIGHT, WRONG, BlockLosses
from flyball.monitoring.calibration.entities import Calibration, Power
from flyball.monitoring.calibration.power import power_of
from flyball.monitoring.entities import QualityVerdict
from flyball.monitoring.monitor import Monitor
from flyball.monitoring.quality import FEWEST_BLOCKS, verdict_of
from flyball.monitoring.quality_rules import ACCURACY
from flyball.monitoring.slices import confidence_of_one

LOSSES = (0.05, 0.1, 0.15)
# Shares of the rows that a named slice holds, and what it loses.
SLICES, SLICE_LOSSES = (0.02, 0.1), (0.05, 0.1)
GROWN = (0.1, 0.25, 0.5)
MOST_WINDOWS = 120
# A slice's rows are drawn anew so often: how often it alarms without a loss is read off all of them.
SLICE_DRAWS = 4
_SEED_DIGITS = 8
_SQUARED = "rmse"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """When a part of a window counts as fallen: how sure its bound is, and how few labelled rows say nothing."""

    confidence: float
    min_rows: int


def with_quality_power(calibration: Calibration, monitor: Monitor, losses: BlockLosses) -> Calibration:
    """State which losses the monitor finds, from the labels that the history has; or why nothing is stated."""
    rows = losses.rows.sum(axis=1)
    labelled = np.flatnonzero(rows >= monitor.min_rows)
    reason = losses.reason or ("" if len(labelled) else "the history has no window with enough labels")
    if reason:
        return replace(calibration, unstated={**calibration.unstated, "quality": reason})
    if len(labelled) > MOST_WINDOWS:
        labelled = labelled[np.linspace(0, len(labelled) - 1, MOST_WINDOWS).astype(np.int64)]
    planter = _Planter(losses=losses, windows=losses.sums[labelled], monitor=monitor, start_ms=losses.start_ms)
    stated = planter.of_accuracy() if losses.metric.name == ACCURACY else planter.of_mean_loss()
    return replace(calibration, power=(*calibration.power, *stated))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Planter:
    """Windows of the history, shape (n, blocks, 2), to plant losses into."""

    losses: BlockLosses
    windows: Floats
    monitor: Monitor
    start_ms: int

    def of_accuracy(self) -> Iterator[Power]:
        whole = _Rule(confidence=self.monitor.quality.confidence, min_rows=self.monitor.min_rows)
        without = self._share(self.windows, whole)
        for loss in LOSSES:
            found = self._found(self._with_errors(self.windows, loss), whole)
            yield self._power(found, "loss of quality", 100 * loss, "points", without=without)
        named = len(self.monitor.slices.named)
        of_slice = _Rule(
            confidence=confidence_of_one(self.monitor.quality.confidence, named), min_rows=self.monitor.slices.min_rows
        )
        for share in SLICES:
            parts = np.concatenate([self._part(share, draw) for draw in range(SLICE_DRAWS)])
            without = self._share(parts, of_slice)
            for loss in SLICE_LOSSES:
                found = self._found(self._with_errors(parts, loss), of_slice)
                change = f"loss of quality in a named slice of {share:.0%}"
                yield self._power(found, change, 100 * loss, "points", without=without)

    def of_mean_loss(self) -> Iterator[Power]:
        rule = _Rule(confidence=self.monitor.quality.confidence, min_rows=self.monitor.min_rows)
        without = self._share(self.windows, rule)
        name = self.losses.metric.name
        for grown in GROWN:
            factor = (1.0 + grown) ** (2 if name == _SQUARED else 1)
            found = self._found(self.windows * np.array([factor, 1.0]), rule)
            yield self._power(found, f"growth of {name}", 100 * grown, "%", without=without)

    def _part(self, share: float, draw: int) -> Floats:
        """Return a share of each block's rows, drawn without regard to which are right."""
        generator = self._generator(f"slice {share} {draw}")
        right, wrong = self.windows[..., RIGHT].astype(np.int64), self.windows[..., WRONG].astype(np.int64)
        rows = generator.binomial(right + wrong, share)
        kept = generator.hypergeometric(right, wrong, rows)
        return np.stack([kept, rows - kept], axis=-1).astype(np.float64)

    def _with_errors(self, windows: Floats, loss: float) -> Floats:
        """Return windows in which so many points of the answers, right before, are wrong."""
        right = windows[..., RIGHT].astype(np.int64)
        lost = self._generator(f"loss {loss}").binomial(right, min(1.0, loss / max(self._baseline(), 1e-9)))
        return np.stack([right - lost, windows[..., WRONG] + lost], axis=-1).astype(np.float64)

    def _baseline(self) -> float:
        return float(self._figure(self.losses.sums.sum(axis=(0, 1))))

    def _figure(self, sums: Floats) -> Floats:
        if self.losses.metric.name == ACCURACY:
            return ratio(sums[..., RIGHT], sums.sum(axis=-1))
        return self.losses.metric.figure(sums)

    def _found(self, windows: Floats, rule: _Rule) -> NDArray[np.bool_]:
        baseline = self._baseline()
        return np.array([self._dropped(one, rule, baseline, seed=place) for place, one in enumerate(windows)])

    def _share(self, windows: Floats, rule: _Rule) -> float:
        return float(np.mean(self._found(windows, rule)))

    def _dropped(self, window: Floats, rule: _Rule, baseline: float, *, seed: int) -> bool:
        rows = window.sum(axis=-1) if self.losses.metric.name == ACCURACY else window[..., -1]
        blocks = window[rows > 0]
        alone = self.monitor.quality.independent_rows and self.losses.metric.name == ACCURACY
        if rows.sum() < rule.min_rows or (len(blocks) < FEWEST_BLOCKS and not alone):
            return False
        bounds = self._bounds(blocks, rule, alone=alone, seed=seed)
        verdict, _ = verdict_of(
            (bounds.lower, bounds.upper),
            better=self.losses.metric.better,
            baseline=baseline,
            tolerance=self.monitor.quality.tolerance,
        )
        return verdict is QualityVerdict.DROPPED

    def _bounds(self, blocks: Floats, rule: _Rule, *, alone: bool, seed: int) -> Interval:
        total = blocks.sum(axis=0)
        if alone:
            return wilson(int(total[RIGHT]), int(total.sum()), confidence=rule.confidence)
        return bound_figure(
            blocks,
            self._figure,
            estimate=float(self._figure(total)),
            low=self.losses.metric.low,
            high=self.losses.metric.high,
            confidence=rule.confidence,
            resamples=self.monitor.quality.resamples,
            seed=seed,
        )

    def _generator(self, what: str) -> np.random.Generator:
        seed = int(digest_json([self.monitor.name, self.start_ms, what])[:_SEED_DIGITS], 16)
        return np.random.default_rng(seed)

    def _power(self, found: NDArray[np.bool_], change: str, size: float, unit: str, *, without: float) -> Power:
        within = self.monitor.alarms.power_windows(self.monitor.window_ms)
        return power_of(
            found,
            change=change,
            size=size,
            unit=unit,
            feature="",
            within=within,
            monitor=self.monitor,
            without=without,
        )
