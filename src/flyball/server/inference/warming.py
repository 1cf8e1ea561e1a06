"""Load a model and let it answer once before traffic comes: the example that its author logged with it, else a neutral row."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from flyball.kernel.clock import Clock
from flyball.kernel.errors import FlyballError
from flyball.kernel.logs import get_logger
from flyball.kernel.settings import Settings
from flyball.server.inference.exchange import Asker
from flyball.server.inference.invocations import read_invocation
from flyball.serving.entities import ModelFolder
from flyball.serving.fast_path import FastPath, Tell
from flyball.serving.isolation.placement import Isolation
from flyball.serving.isolation.rules import IsolationRules
from flyball.serving.served_model import ServedModel, load_model

# MLflow writes the input example a second time in the form that its scoring server takes.
EXAMPLE = "serving_input_example.json"
# An example is a few rows; a larger file is left alone.
MAX_EXAMPLE_BYTES = 16 << 20

_log = get_logger("inference")


@contextlib.contextmanager
def model_loader(settings: Settings, *, clock: Clock, tell: Tell) -> Iterator[Callable[[ModelFolder], ServedModel]]:
    """Yield what loads a warm model by the settings: by the fast path where that is proven, and isolated where it must be.

    `tell` is given the certificate of each model. At the end comparisons under way are ended.
    """
    isolation = IsolationRules.by(settings).open(clock=clock)

    def load(folder: ModelFolder) -> ServedModel:
        return load_warm_model(folder.path, allow_pickle=settings.allow_pickle, isolation=isolation)

    if not settings.fast_path:
        yield load
        return
    fast_path = FastPath.by(settings, load_original=load, tell=tell)
    with contextlib.closing(fast_path):
        yield fast_path.load


def load_warm_model(folder: Path, *, allow_pickle: bool, isolation: Isolation | None = None) -> ServedModel:
    """Load a model folder, in an environment of its own where `isolation` says so, and warm it.

    Raises:
        InvalidInput: the folder holds no model, its files are damaged or not trusted, or it cannot predict a row that its
            signature allows.
        Unsupported: a flavour, format, type or version that is not served.
        MissingExtra: the model's library is not installed.
        Unavailable: the model's environment cannot be made at present.
    """
    model = load_model(folder, allow_pickle=allow_pickle, isolation=isolation)
    warm = "example" if _predict_example(model, folder / EXAMPLE) else "neutral row" if model.warm_up() else "cold"
    _log.info("loaded_model", folder=str(folder), warm=warm, place=model.place)
    return model


def _predict_example(model: ServedModel, path: Path) -> bool:
    """Predict the example, if there is one that fits the signature; whatever is wrong with it is no fault of the model."""
    if not path.is_file() or path.stat().st_size > MAX_EXAMPLE_BYTES:
        return False
    try:
        asker = Asker(caller="warm-up", model=path.parent.name, signature=model.signature)
        model.predict_rows(model.columns_of(read_invocation(path.read_bytes(), asker).request.rows))
    except FlyballError as error:
        _log.warning("example_not_used", file=str(path), reason=error.message)
        return False
    return True
