"""What a network's conversion has to show, whichever library it is of."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flyball.serving.certify import certify
from flyball.serving.entities import Columns
from flyball.serving.flavours import open_flavour
from flyball.serving.model_folder import read_model_folder
from flyball.serving.onnx_path import FastRuntime
from flyball.serving.parity import Certificate, Parity, Tolerance

TOLERANCE = Tolerance(difference_ppm=50, sample_rows=5)


def certified(folder: Path, *, allow_pickle: bool) -> tuple[Certificate, bytes]:
    """Return the certificate of a model folder, and the conversion, empty where it is not served."""
    found = certify(folder, model_digest="a" * 64, tolerance=TOLERANCE, allow_pickle=allow_pickle)
    return found.certificate, found.content


def held_against_the_original(folder: Path, rows: Columns, *, made_with: set[str], allow_pickle: bool) -> Certificate:
    """Convert, and ask the conversion and the original the same rows."""
    certificate, content = certified(folder, allow_pickle=allow_pickle)
    assert (certificate.verdict, certificate.reason) == (Parity.WITHIN, "")
    assert certificate.label_agreement == 1.0
    assert made_with <= certificate.versions.keys()
    assert certificate.plan is not None
    spec = read_model_folder(folder)
    fast = FastRuntime(content, spec.signature, certificate.plan)
    original = open_flavour(spec.flavour).load(spec, allow_pickle=allow_pickle)
    for step in (1, 7, 100):
        part = {name: values[::step] for name, values in rows.items()}
        np.testing.assert_allclose(fast.predict(part).labels, original.predict(part).labels, rtol=5e-5, atol=5e-5)
    return certificate
