"""Read estimators from skops files by a list of types that we trust, and from pickles when that is allowed."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from pathlib import Path

from flyball.kernel.errors import InvalidInput, MissingExtra
from flyball.serving.entities import ModelSpec
from flyball.serving.flavours.files import reading, refuse_pickle
from flyball.serving.flavours.trees import check_trees


def load_skops(file: Path, *, trusted: AbstractSet[str]) -> object:
    """Load a skops file, if it holds nothing but what skops and we trust.

    Raises:
        InvalidInput: it holds other types, is damaged, or has a tree that points outside itself.
        MissingExtra: skops is not installed.
    """
    try:
        import skops.io
    except ModuleNotFoundError as error:
        raise MissingExtra.named("skops", "sklearn") from error
    found = reading(file, lambda: skops.io.get_untrusted_types(file=file))
    refused = sorted(set(found) - trusted)
    if refused:
        raise InvalidInput(
            f"the model holds types that are not loaded here: {', '.join(refused)}; use estimators of the library "
            "only, or express the custom step with them",
            field="model",
        )
    model = reading(file, lambda: skops.io.load(file, trusted=found))
    check_trees(model)
    return model


def load_pickle(spec: ModelSpec, file: Path, stored_as: str, *, allowed: bool) -> object:
    """Unpickle, which runs whatever the author of the file put in.

    Raises:
        Unsupported: the operator has not allowed that.
        InvalidInput: the file is damaged.
    """
    refuse_pickle(spec, stored_as, allowed=allowed, instead="log it with serialization_format='skops'")
    import pickle

    # cloudpickle writes ordinary pickles; what it adds is needed for writing only, and imports itself when read.
    with file.open("rb") as stream:
        return reading(file, lambda: pickle.load(stream))  # noqa: S301 -- allowed by the operator; never in the server
