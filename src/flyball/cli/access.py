"""Who may do what: exports for other tools, identities, tokens, and the link that opens the pages."""

from __future__ import annotations

import shlex

import click

from flyball.cli.printing import moment, table
from flyball.client import Client
from flyball.client.paths import api
from flyball.wire.v1 import Done, access

DAY_S = 86_400


@click.command()
def env() -> None:
    """Print the exports that make the MLflow client work: eval "$(flyball env)"."""
    client = Client()
    click.echo(f"export MLFLOW_TRACKING_URI={shlex.quote(client.url)}")
    click.echo(f"export MLFLOW_TRACKING_TOKEN={shlex.quote(client.token)}")


@click.command()
def ui() -> None:
    """Print a link that opens the pages once, within a minute."""
    client = Client()
    link = client.call("POST", api("login-links"), response=access.LoginLink)
    click.echo(f"{client.url}{link.path}")


@click.group()
def identity() -> None:
    """People and automations."""


@identity.command("add")
@click.argument("name")
@click.option("--role", required=True, help="owner, engineer, approver, viewer or service")
def add_identity(name: str, role: str) -> None:
    """Add NAME (user:<name> or service:<name>) with a role."""
    body = access.NewIdentity(name=name, role=role)
    made = Client().call("POST", api("identities"), body=body, response=access.IdentityInfo)
    click.echo(f"{made.name}  {made.role}")


@identity.command("list")
def list_identities() -> None:
    """List identities."""
    found = Client().call("GET", api("identities"), response=access.Identities)
    table(["name", "role"], [[one.name, one.role] for one in found.identities])


@click.group()
def token() -> None:
    """Access tokens."""


@token.command("create")
@click.argument("identity")
@click.option("--label", required=True, help="what the token is for")
@click.option("--days", type=click.IntRange(1, 3650), default=90, show_default=True, help="how long it is valid")
@click.option("--permission", "permissions", multiple=True, help="narrow the token to these permissions")
def create_token(identity: str, label: str, days: int, permissions: tuple[str, ...]) -> None:
    """Make a token for IDENTITY and print its secret, once."""
    body = access.NewToken(
        identity=identity, label=label, expires_in_s=days * DAY_S, permissions=list(permissions) or None
    )
    made = Client().call("POST", api("tokens"), body=body, response=access.IssuedToken)
    click.echo(made.secret)


@token.command("list")
def list_tokens() -> None:
    """List tokens; secrets are never shown."""
    found = Client().call("GET", api("tokens"), response=access.Tokens)
    rows = [
        [one.id, one.identity, one.label, moment(one.expires_ms), "yes" if one.revoked else ""] for one in found.tokens
    ]
    table(["id", "identity", "label", "expires", "revoked"], rows)


@token.command("revoke")
@click.argument("token_id")
def revoke_token(token_id: str) -> None:
    """Revoke a token at once."""
    Client().call("DELETE", api("tokens", token_id), response=Done)
    click.echo("revoked")
