"""Compare two Parquet files with Flyball and print what it took, as JSON.

The files are read column by column while they are compared, so `compare_s` holds the reading; `frames` reads them into pandas
first, as the peer has to, and counts that apart.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path


def main() -> None:
    """Read, compare, write the page."""
    reference, current, page = map(Path, sys.argv[1:4])
    frames = sys.argv[4:] == ["frames"]
    if frames:
        import pandas as pd

    from flyball.monitoring import compare

    began = time.perf_counter()
    sides: list[object] = [pd.read_parquet(path) if frames else path for path in (reference, current)]
    read = time.perf_counter()
    found = compare(*sides)
    measured = time.perf_counter()
    found.to_html(page)
    print(
        json.dumps(
            {
                "read_s": read - began,
                "compare_s": measured - read,
                "cpu_s": time.process_time(),
                "page_s": time.perf_counter() - measured,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "page_mb": page.stat().st_size / 1e6,
                "drifted": len(found.drifted),
            }
        )
    )


if __name__ == "__main__":
    main()
