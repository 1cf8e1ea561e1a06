"""`flyball model certify`: compare a version with its conversion to ONNX here, and keep the certificate as evidence there."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flyball.cli.score_sources import REGISTERED, model_here
from flyball.client import Client
from flyball.client.paths import versioned
from flyball.kernel.settings import load_settings

if TYPE_CHECKING:
    from flyball.serving.parity import Certificate

PARITY = "parity"
# 1 is an error, 2 a command line that cannot be read.
STATUSES = {"within": 0, "beyond": 3, "undecided": 4}


@click.command()
@click.argument("version", metavar="MODEL/VERSION")
@click.option(
    "--allow-pickle", is_flag=True, help="load a model stored as pickle, in a child process; it may run any code there"
)
def certify(version: str, *, allow_pickle: bool) -> None:
    """Compare MODEL/VERSION with its conversion to ONNX, and attach the parity certificate to it as evidence.

    The files are fetched and compared on this machine, in a child process. Exit status: 0 within tolerance, 3 beyond it, 4 undecided.
    """
    from flyball.serving.entities import ModelFolder
    from flyball.serving.fast_path import certified

    settings = load_settings()
    versioned("models", version)  # which refuses what is no version
    with (
        tempfile.TemporaryDirectory(prefix="flyball-certify-") as into,
        model_here(f"{REGISTERED}{version}", beside=Path(into) / "model") as held,
    ):
        model = ModelFolder(path=held.folder, digest=held.digest)
        found = certified(model, settings, allow_pickle=allow_pickle or settings.allow_pickle)
    kept = Client().attach_evidence(version, {PARITY: found.content()})
    _print(found, evidence=kept.evidence[PARITY])
    sys.exit(STATUSES[found.verdict.value])


def _print(found: Certificate, *, evidence: str) -> None:
    difference = "-" if found.maximum_relative is None else f"{found.maximum_relative:.3g}"
    agreement = "-" if found.label_agreement is None else f"{found.label_agreement:.6g}"
    click.echo(f"verdict             {found.verdict.value}{f': {found.reason}' if found.reason else ''}")
    click.echo(f"maximum difference  {difference} (tolerance {found.tolerance_ppm} ppm)")
    click.echo(f"label agreement     {agreement}")
    click.echo(f"sample              {found.rows} rows, {found.rows_given} of them given, {found.sample_digest or '-'}")
    large = f"from {found.large_from_rows} rows on" if found.large_from_rows else "no form of their own"
    click.echo(f"large batches       {large}")
    click.echo(f"evidence            {evidence}")
