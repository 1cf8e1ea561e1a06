"""Serve model folders from the terminal, without a platform."""

from __future__ import annotations

from pathlib import Path

import click

from flyball.kernel.settings import load_settings


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="NAME[/VERSION]=FOLDER...")
@click.option("--host", default="127.0.0.1", show_default=True, help="address to listen at")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65_535), help="0 takes a free one")
@click.option("--grpc-port", type=click.IntRange(0, 65_535), help="answer the Open Inference Protocol over gRPC, too")
@click.option("--capture/--no-capture", default=True, show_default=True, help="write down what is predicted")
@click.option("--capture-folder", type=click.Path(file_okay=False, path_type=Path), help="default: <home>/captured")
@click.option("--memory-mb", default=0, type=click.IntRange(0), help="what all models may take together; 0: no limit")
@click.option("--without-key", is_flag=True, help="answer everybody on this machine; for loopback addresses only")
def serve(
    models: tuple[str, ...],
    *,
    host: str,
    port: int,
    grpc_port: int | None,
    capture: bool,
    capture_folder: Path | None,
    memory_mb: int,
    without_key: bool,
) -> None:
    """Serve MLflow-format model folders over HTTP, and where asked for over gRPC, until Ctrl-C.

    Callers send the key as bearer token: FLYBALL_SERVE_KEY, or the one in <home>/serve.key, which is made when there is none.
    """
    from flyball.server.inference.standalone import ServeOptions, parse_models, serve_folders

    settings = load_settings()
    options = ServeOptions(
        models=parse_models(models),
        host=host,
        port=port,
        grpc_port=grpc_port,
        captured=(capture_folder or settings.home / "captured") if capture else None,
        memory_bytes=memory_mb << 20,
        needs_key=not without_key,
    )
    serve_folders(options, settings=settings, announce=click.echo)
