"""Approvals, the audit and the question why, from the terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from flyball.cli.printing import table
from flyball.client import Client
from flyball.client.paths import api
from flyball.wire.v1 import audit as shapes
from flyball.wire.v1 import loops

KINDS = {"alert": "alert", "version": "model-version", "prediction": "prediction"}


@click.group()
def approval() -> None:
    """Approvals, each bound to the digest of everything that is approved."""


@approval.command("list")
def list_approvals() -> None:
    """List approvals, newest first."""
    found = Client().call("GET", api("approvals"), response=loops.ApprovalList)
    rows = [[one.id, one.state, one.requested_by, one.decided_by or "-", one.digest] for one in found.approvals]
    table(["id", "state", "requested by", "decided by", "digest"], rows)


@approval.command()
@click.argument("approval_id")
@click.option("--digest", required=True, help="the digest you looked at (see: flyball approval list)")
def approve(approval_id: str, digest: str) -> None:
    """Approve exactly this content; the requester cannot."""
    body = loops.Approve(digest=digest)
    one = Client().call("POST", api("approvals", approval_id, "approve"), body=body, response=loops.ApprovalInfo)
    click.echo(f"{one.id} {one.state}")


@approval.command()
@click.argument("approval_id")
@click.option("--reason", required=True)
def reject(approval_id: str, reason: str) -> None:
    """Reject with a reason."""
    body = loops.Reject(reason=reason)
    one = Client().call("POST", api("approvals", approval_id, "reject"), body=body, response=loops.ApprovalInfo)
    click.echo(f"{one.id} {one.state}")


@approval.command()
@click.argument("approval_id")
@click.option("--reason", required=True)
def withdraw(approval_id: str, reason: str) -> None:
    """Take an approval back that you asked for; an owner may take back any."""
    body = loops.Withdraw(reason=reason)
    one = Client().call("POST", api("approvals", approval_id, "withdraw"), body=body, response=loops.ApprovalInfo)
    click.echo(f"{one.id} {one.state}")


@click.group()
def audit() -> None:
    """The record of every change, chained by digest."""


@audit.command()
@click.argument("path", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def verify(path: Path | None) -> None:
    """Check the chain: on the server, or offline in an exported file PATH. Exit status 1 names the first bad entry."""
    found = _verify_file(path) if path else Client().call("GET", api("audit", "verify"), response=shapes.Verified)
    if found.intact:
        click.echo(f"intact: {found.count} events, head {found.head}")
        return
    click.echo(f"BROKEN at entry {found.first_bad}: {found.reason}", err=True)
    sys.exit(1)


@audit.command()
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
def export(path: Path) -> None:
    """Write the whole chain to a file of JSON lines."""
    Client().download(api("audit", "export"), path)
    click.echo(f"{path}: {path.stat().st_size} bytes")


@click.command()
@click.argument("kind", type=click.Choice(sorted(KINDS)))
@click.argument("key")
def why(kind: str, key: str) -> None:
    """Walk from an alert, a model version (NAME/N) or a prediction back to its causes."""
    found = Client().call("GET", api("why", KINDS[kind], *key.split("/")), response=shapes.WhyAnswer)
    click.echo(found.text)


def _verify_file(path: Path) -> shapes.Verified:
    from flyball.governance.audit import verify_export_file

    found = verify_export_file(path)
    return shapes.Verified(
        intact=found.intact, count=found.count, head=found.head, first_bad=found.first_bad, reason=found.reason
    )
