"""From a history to thresholds: find the cycles and the memory, make null windows, and read the ranks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from flyball.datasets.profile import ColumnProfile, Profile
from flyball.kernel.canonical import digest_json
from flyball.measures.intervals import wilson
from flyball.measures.joint_ranks import JointRanks, joint_ranks
from flyball.measures.permutation import fewest_for, realised_chance
from flyball.measures.samples import Floats
from flyball.monitoring.calibration.cells import Cells, bins_of
from flyball.monitoring.calibration.effects import (
    Index,
    effects_of,
    null_effects,
    phase_expectations,
    phase_shares,
    window_sums,
)
from flyball.monitoring.calibration.entities import (
    Backcheck,
    Calibration,
    Cycle,
    FeatureBins,
    FeatureCalibration,
    Method,
)
from flyball.monitoring.calibration.seasons import choices, inner_cycles, phase_count, phases_of, usable_cycles
from flyball.monitoring.calibration.windows import (
    MOST_PIECES,
    block_of,
    fewest_glued,
    glued,
    guard_of,
    memory_in,
    pieces,
)
from flyball.monitoring.monitor import DriftRules, Monitor

# A set of cycles must bring windows this much nearer to what is expected of them, on average, to be kept apart.
_WORTH = 0.95
_PROBES = 200
RATE_CONFIDENCE = 0.95
_SEED_DIGITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What calibrating a history rests on: the cycles kept apart, the phase of each cell, and how long cells remember.

    `places` tells cells of different days of the week apart even where every window holds whole weeks: blocks are glued by it.
    """

    cycles: tuple[Cycle, ...]
    phases: Index
    places: Index
    memory: int
    k: int


def calibration_bins(profile: Profile, rules: DriftRules) -> tuple[list[FeatureBins], dict[str, str]]:
    """Return how each feature is counted, and why others cannot be calibrated."""
    bins, left = [], {}
    for column in profile.columns:
        if column.name in rules.ignore:
            continue
        made = bins_of(column, rules)
        if made is None:
            left[column.name] = "does not vary in the reference, or is neither a number nor a category"
        else:
            bins.append(made)
    return bins, left


def calibrate(monitor: Monitor, version: int, profile: Profile, cells: Cells) -> tuple[Calibration, Frame | None]:
    """Calibrate the drift alarms of a monitor on a history.

    Returns:
        The calibration, and the frame it was made in. Where the history is too short the calibration has a `reason`, how many
        windows there are and how many are needed.
    """
    bare = _bare(monitor, version, cells)
    if bare.windows < 1 or not cells.bins:
        what = "no feature that could be calibrated" if bare.windows else "not one whole window"
        return replace(bare, needed=max(1, bare.needed), reason=f"the history holds {what}"), None
    frame, unmatched = find_frame(monitor, cells)
    method = Method.PIECES if bare.windows >= bare.needed else Method.GLUED
    block = block_of(frame.memory, frame.k)
    needed = fewest_glued(block, frame.k) if method is Method.GLUED and block < frame.k else bare.needed
    known = replace(
        bare,
        method=method,
        memory_cells=frame.memory,
        block_cells=block if method is Method.GLUED else frame.k,
        cycles=frame.cycles,
        unmatched=unmatched,
        needed=needed,
    )
    if bare.windows < needed:
        return replace(known, reason=_too_short(known)), frame
    index = _null_index(monitor, cells, frame, method=method, block=block)
    fit = fit_null(cells, index, frame, chance=known.chance, whole=known.windows)
    features = _features(monitor, profile, cells, frame, fit)
    return _with_rate(replace(known, features=features), monitor, fit), frame


def find_frame(monitor: Monitor, cells: Cells) -> tuple[Frame, dict[str, str]]:
    """Choose the cycles that bring windows nearest to what is expected of them, and measure the memory they leave."""
    k = monitor.window_ms // cells.cell_ms
    usable, unmatched = usable_cycles(monitor.window_ms, cells.cell_ms, cells.count * cells.cell_ms)
    probes = pieces(cells, k, step=1, min_rows=monitor.min_rows, most=_PROBES)
    best, least = _frame(cells, k, ()), np.inf
    for cycles in choices(usable) if len(probes) else [()]:
        frame = _frame(cells, k, cycles)
        guard = guard_of(frame.memory, cycles, cells.cell_ms)
        found = null_effects(cells, probes, frame.phases, guard=guard) if len(probes) else np.ones((1, 1))
        distance = float(np.mean(np.log(np.maximum(found.mean(axis=0), 1e-9))))
        if distance < least + (np.log(_WORTH) if cycles else 0.0):
            best, least = frame, distance
    return best, unmatched


def fit_null(cells: Cells, index: Index, frame: Frame, *, chance: float, whole: int) -> JointRanks:
    """Read off null windows what is usual, and the limit that one in `1 / chance` exceeds in any feature."""
    guard = guard_of(frame.memory, frame.cycles, cells.cell_ms)
    return joint_ranks(null_effects(cells, index, frame.phases, guard=guard), chance, whole=whole)


def backcheck(monitor: Monitor, cells: Cells, chance: float) -> Backcheck | None:
    """Calibrate the first half of a history and judge the windows of the second; None where a half is too short."""
    k = monitor.window_ms // cells.cell_ms
    half = cells.count // (2 * k) * k
    first, second = cells.between(0, half), cells.between(half, cells.count)
    if half // k < fewest_for(chance) or second.count < k:
        return None
    frame, _unmatched = find_frame(monitor, first)
    null = pieces(first, k, step=1, min_rows=monitor.min_rows, most=_most_pieces(monitor))
    judged = pieces(second, k, step=k, min_rows=monitor.min_rows)
    if len(null) < fewest_for(chance) or not len(judged):
        return None
    fit = fit_null(first, null, frame, chance=chance, whole=half // k)
    found = fit.standardised(_effects_against(first, frame, second, judged))
    alarms = int(np.sum(np.max(found, axis=1) > fit.limit))
    bounds = wilson(alarms, len(judged), confidence=0.975)
    return Backcheck(
        windows=len(judged), alarms=alarms, lower=bounds.lower, upper=bounds.upper, holds=bounds.lower <= chance
    )


def _bare(monitor: Monitor, version: int, cells: Cells) -> Calibration:
    chance = monitor.feature_chance
    k = monitor.window_ms // cells.cell_ms
    whole = cells.count // k
    full = pieces(cells, k, step=k, min_rows=monitor.min_rows, most=max(1, whole)) if whole else np.empty((0, k))
    return Calibration(
        monitor=monitor.name,
        version=version,
        false_alarms=monitor.alarms.false_alarms,
        false_discoveries=monitor.alarms.discoveries,
        chance=chance,
        window_ms=monitor.window_ms,
        origin_ms=monitor.origin_ms,
        cell_ms=cells.cell_ms,
        history_start_ms=cells.start_ms,
        history_end_ms=cells.start_ms + cells.count * cells.cell_ms,
        windows=len(full),
        needed=fewest_for(chance),
    )


def _too_short(known: Calibration) -> str:
    if known.false_discoveries:
        return f"cannot alarm: {known.wanted} needs {known.needed} windows of history, has {known.windows}"
    return f"history too short: {known.windows} windows, {known.needed} are needed"


def _frame(cells: Cells, k: int, cycles: tuple[Cycle, ...]) -> Frame:
    phases = phases_of(cells.starts_ms, cells.cell_ms, cycles)
    inner = inner_cycles(cells.cell_ms, cells.count * cells.cell_ms) if k > 1 else ()
    places = phases_of(cells.starts_ms, cells.cell_ms, {*cycles, *inner})
    return Frame(cycles=cycles, phases=phases, places=places, memory=memory_in(cells, places), k=k)


def _null_index(monitor: Monitor, cells: Cells, frame: Frame, *, method: Method, block: int) -> Index:
    if method is Method.PIECES:
        return pieces(cells, frame.k, step=1, min_rows=monitor.min_rows, most=_most_pieces(monitor))
    seed = int(digest_json([monitor.name, cells.start_ms, cells.count])[:_SEED_DIGITS], 16)
    return glued(cells, frame.k, frame.places, block=block, min_rows=monitor.min_rows, seed=seed)


def _most_pieces(monitor: Monitor) -> int:
    """Return how many null windows to look at: a rare alarm is read off more of them."""
    return max(MOST_PIECES, 4 * fewest_for(monitor.feature_chance))


def _features(
    monitor: Monitor, profile: Profile, cells: Cells, frame: Frame, fit: JointRanks
) -> tuple[FeatureCalibration, ...]:
    count = phase_count(cells.cell_ms, frame.cycles)
    made = []
    for place, bins in enumerate(cells.bins):
        shares = phase_expectations(cells, frame.phases, count=count, feature=place)
        threshold = float(fit.centre[place] + fit.limit * fit.scale[place])
        made.append(
            FeatureCalibration(
                bins=bins,
                shares=tuple(tuple(round(float(share), 8) for share in line) for line in shares),
                centre=float(fit.centre[place]),
                scale=float(fit.scale[place]),
                threshold=max(threshold, monitor.alarms.least_effect),
                skew=_skew(profile, cells, place),
            )
        )
    return tuple(made)


def _with_rate(known: Calibration, monitor: Monitor, fit: JointRanks) -> Calibration:
    # Overlapping pieces and glued windows are more than the history holds; how sure the rate is depends on whole windows.
    chance = realised_chance(max(known.windows, fewest_for(known.chance)), known.chance, confidence=RATE_CONFIDENCE)
    per_period = monitor.alarms.period_ms / monitor.window_ms
    return replace(
        known,
        limit=fit.limit,
        null=tuple(round(float(value), 9) for value in fit.null),
        rate=min(known.chance, chance.estimate) * per_period,
        rate_lower=chance.lower * per_period,
        rate_upper=chance.upper * per_period,
    )


def _effects_against(first: Cells, frame: Frame, second: Cells, judged: Index) -> Floats:
    """Return the effects of windows of one stretch against another's phases, shape (n, features)."""
    count = phase_count(first.cell_ms, frame.cycles)
    phases = phases_of(second.starts_ms, second.cell_ms, frame.cycles)
    shares = phase_shares(second.rows[judged], phases[judged], count=count)
    found = np.empty((len(judged), len(first.bins)))
    for place, bins in enumerate(first.bins):
        ours = shares @ phase_expectations(first, frame.phases, count=count, feature=place)
        theirs, beyond = window_sums(second, judged, place)
        found[:, place] = effects_of(bins, ours, theirs, beyond)
    return found


def _skew(profile: Profile, cells: Cells, place: int) -> float:
    """Return how far the whole history lies from the version's profile."""
    bins = cells.bins[place]
    theirs = cells.counts[place].sum(axis=0, dtype=np.float64)[None, :]
    beyond = np.array([cells.beyond[place].sum()])
    ours = _profile_counts(bins, profile.get(bins.feature))[None, :]
    return float(effects_of(bins, ours, theirs, beyond)[0])


def _profile_counts(bins: FeatureBins, column: ColumnProfile) -> Floats:
    if bins.names:
        known = np.array([count for _value, count in column.top[: len(bins.names)]], dtype=np.float64)
        return np.append(known, max(0.0, column.count - known.sum()))
    codes = np.searchsorted(np.asarray(bins.cuts), np.asarray(column.quantiles), side="left")
    return np.bincount(codes, minlength=bins.count).astype(np.float64)
