"""The commands that run processes: everything on one machine, or each part by itself; the doctor."""

from __future__ import annotations

import sys

import click

from flyball.kernel.settings import load_settings


@click.command()
def up() -> None:
    """Run server, worker and endpoints on this machine; Ctrl-C drains and stops them."""
    from flyball.server.up import run_up

    run_up(load_settings(), announce=click.echo)  # which flushes, so that a pipe sees it at once


@click.command()
@click.option("--supervised", is_flag=True, hidden=True)
def server(*, supervised: bool) -> None:
    """Run the HTTP server alone."""
    from flyball.server.serve import run_server

    run_server(load_settings(), supervised=supervised)


@click.command()
@click.option("--supervised", is_flag=True, hidden=True)
def worker(*, supervised: bool) -> None:
    """Run a worker alone: monitors, loops, pipelines, sweeps."""
    from flyball.server.serve import run_worker

    run_worker(load_settings(), supervised=supervised)


@click.command()
def doctor() -> None:
    """Say what is wrong with this installation, and how to mend it; exit status 1 when something is."""
    from flyball.server.doctor import examine

    findings = list(examine(load_settings()))
    for finding in findings:
        click.echo(f"{'ok  ' if finding.healthy else 'BAD '} {finding.subject}: {finding.detail}")
        if not finding.healthy:
            click.echo(f"     do: {finding.remedy}")
    sys.exit(0 if all(finding.healthy for finding in findings) else 1)
