"""Model versions, policies and decisions from the terminal."""

from __future__ import annotations

from pathlib import Path

import click

from flyball.cli.certifying import certify
from flyball.cli.printing import table
from flyball.cli.reading import read_text
from flyball.client import Client
from flyball.client.paths import api, versioned
from flyball.wire.v1 import models


@click.group()
def model() -> None:
    """Registered models."""


@model.command("show")
@click.argument("version")
def show_version(version: str) -> None:
    """Show a version (NAME/N): digest, run, aliases and evidence."""
    one = Client().call("GET", versioned("models", version), response=models.ModelVersionInfo)
    click.echo(
        f"{one.name}/{one.version}  {one.digest}\nrun {one.run_id or '-'}  aliases {', '.join(one.aliases) or '-'}"
    )
    table(["evidence", "digest"], sorted(one.evidence.items()))


@model.command()
@click.argument("version")
@click.option(
    "--training", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Parquet file."
)
@click.option(
    "--evaluation",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Parquet file of rows it was not trained on, with 'prediction' and 'label', and 'score' and 'time_ms' if known.",
)
@click.option("--feature", "features", multiple=True, help="A feature; may be given several times.")
@click.option("--metric", default="", help="The measure of quality to watch.")
@click.option(
    "--sample-rows",
    type=click.IntRange(0, 20_000),
    default=2_000,
    help="Rows of the training data that travel with the version, for drift of columns together; 0 for none.",
)
def describe(
    version: str, training: Path, evaluation: Path | None, features: tuple[str, ...], metric: str, sample_rows: int
) -> None:
    """Attach what a version (NAME/N) learned from, and how good it was: what monitors hold its traffic against."""
    import pyarrow.parquet as pq

    from flyball.monitoring import describe as describe_tables

    made = describe_tables(
        pq.read_table(training),
        features=features,
        evaluation=None if evaluation is None else pq.read_table(evaluation),
        metric=metric,
        dataset="" if evaluation is None else evaluation.name,
        sample_rows=sample_rows,
    )
    one = Client().attach_evidence(version, made)
    table(["evidence", "digest"], sorted(one.evidence.items()))


model.add_command(certify)


@click.group()
def policy() -> None:
    """Gate policies: YAML, versioned, immutable once published."""


@policy.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def publish(path: Path) -> None:
    """Publish a policy file."""
    body = models.NewPolicy(document=read_text(path))
    made = Client().call("POST", api("policies"), body=body, response=models.PolicyInfo)
    click.echo(f"{made.name}/{made.version}  {made.digest}  {', '.join(made.rules)}")


@policy.command("show")
@click.argument("version")
def show_policy(version: str) -> None:
    """Show a published policy (NAME/N)."""
    one = Client().call("GET", versioned("policies", version), response=models.PolicyInfo)
    click.echo(f"{one.name}/{one.version}  {one.digest}  {', '.join(one.rules)}")


@click.group()
def decision() -> None:
    """Decisions of the gates."""


@decision.command("show")
@click.argument("decision_id")
def show_decision(decision_id: str) -> None:
    """Show what a gate decided and why."""
    _print(Client().call("GET", api("decisions", decision_id), response=models.DecisionInfo))


@decision.command()
@click.argument("decision_id")
def replay(decision_id: str) -> None:
    """Decide again from the stored evidence."""
    _print(Client().call("POST", api("decisions", decision_id, "replay"), response=models.DecisionInfo))


def _print(one: models.DecisionInfo) -> None:
    click.echo(f"{one.verdict}  {one.model}/{one.version} under {one.policy}  evidence {one.evidence_digest[:16]}")
    table(["rule", "verdict", "reason"], [[each.rule, each.verdict, each.reason] for each in one.outcomes])
