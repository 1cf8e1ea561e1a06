"""Is a share of false discoveries kept, and what is found? Windows as ranks among a history, in streams with and without changes.

`python -m benchmarks.monitoring.discoveries`; half a minute. The numbers stand in docs/monitoring-alarms.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from flyball.measures.false_discovery import Discoveries, DiscoveryRule, hold_to_level

SEEDS = range(1_000, 1_400)
WINDOWS, EVERY, LASTS, SHIFT = 1_000, 100, 5, 4.0
RATE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """One stream: the mean share of false discoveries, false ones, windows that changed and were found, and spells of them."""

    share: float
    false: int
    found: int
    changed: int
    caught: int
    spells: int


def stream(decay: float, history: int, *, seed: int, shift: float) -> Streamed:
    """Hold a stream of windows to the share; of every hundred, five in a row are shifted by so many standard deviations."""
    generator = np.random.default_rng(seed)
    null = np.sort(generator.normal(size=history))
    values = generator.normal(size=WINDOWS)
    changed = (np.arange(WINDOWS) % EVERY >= EVERY - LASTS) & (shift > 0)
    p_values = (1 + history - np.searchsorted(null, values + shift * changed)) / (history + 1)
    rule, state = DiscoveryRule(rate=RATE, decay=decay), Discoveries()
    found = np.zeros(WINDOWS, dtype=bool)
    shares, false, every = [], 0.0, 0.0
    for place, p_value in enumerate(p_values.tolist()):
        tested = hold_to_level(rule, state, p_value)
        state, found[place] = tested.after, tested.rejected
        false = false * decay + (tested.rejected and not changed[place])
        every = every * decay + tested.rejected
        shares.append(false / max(1.0, every))
    hits = (found & changed).reshape(-1, EVERY).any(axis=1)
    return Streamed(
        share=float(np.mean(shares)),
        false=int(np.sum(found & ~changed)),
        found=int(np.sum(found & changed)),
        changed=int(np.sum(changed)),
        caught=int(np.sum(hits)),
        spells=len(hits) if shift else 0,
    )


def line(memory: int | None, history: int, shift: float) -> str:
    """Return a line of the table."""
    decay = 1.0 if memory is None else 1.0 - 1.0 / memory
    made = [stream(decay, history, seed=seed, shift=shift) for seed in SEEDS]
    shares = np.array([one.share for one in made])
    error = shares.std() / math.sqrt(len(made))
    per = sum(one.false for one in made) * EVERY / (WINDOWS * len(made))
    text = f"| {memory or 'none'} | {history} | {shift:g} | {shares.mean():.3f} ± {error:.3f} | {per:.2f} |"
    if not shift:
        return f"{text} | |"
    windows = sum(one.found for one in made) / sum(one.changed for one in made)
    spells = sum(one.caught for one in made) / sum(one.spells for one in made)
    return f"{text} {windows:.3f} | {spells:.3f} |"


def main() -> None:
    """Print the table."""
    print("| memory | history | shift | share of false | false in 100 windows | of changed windows | of spells |")
    print("|---|---|---|---|---|---|---|")
    for memory, history in ((30, 333), (90, 999), (None, 365)):
        for shift in (0.0, SHIFT):
            print(line(memory, history, shift))


if __name__ == "__main__":
    main()
