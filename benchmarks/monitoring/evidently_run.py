"""Compare two Parquet files with Evidently and print what it took, as JSON. Runs in Evidently's own environment."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path


def main() -> None:
    """Read, compare, write the page."""
    reference, current, page = map(Path, sys.argv[1:4])
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    began = time.perf_counter()
    ours, theirs = pd.read_parquet(reference), pd.read_parquet(current)
    numbers = [name for name in ours.columns if name.startswith("n")]
    known = DataDefinition(
        numerical_columns=numbers, categorical_columns=[name for name in ours.columns if name not in numbers]
    )
    sides = [Dataset.from_pandas(frame, known) for frame in (theirs, ours)]
    read = time.perf_counter()
    found = Report([DataDriftPreset()]).run(*sides)
    measured = time.perf_counter()
    found.save_html(str(page))
    drifted = json.loads(found.json())["metrics"][0]["value"]["count"]
    print(
        json.dumps(
            {
                "read_s": read - began,
                "compare_s": measured - read,
                "page_s": time.perf_counter() - measured,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "page_mb": page.stat().st_size / 1e6,
                "drifted": drifted,
            }
        )
    )


if __name__ == "__main__":
    main()
