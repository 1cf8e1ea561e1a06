"""The PyTorch flavour: exported programs (`.pt2`) after a check of what is in them, pickled modules only when they are allowed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flyball.kernel.errors import InvalidInput, MissingExtra, Unsupported
from flyball.serving.entities import Array, Columns, ModelSpec, Prediction, Signature
from flyball.serving.flavours.arrays import prediction_of
from flyball.serving.flavours.exported import check_program
from flyball.serving.flavours.files import model_file, reading, refuse_code, refuse_newer, refuse_pickle
from flyball.serving.flavours.networks import Network, named_outputs

EXPORTED, PICKLED = "model.pt2", "model.pth"


class TorchFlavour:
    """Load PyTorch models that MLflow saved."""

    def load(self, spec: ModelSpec, *, allow_pickle: bool) -> TorchRuntime:
        try:
            import torch
        except ModuleNotFoundError as error:
            raise MissingExtra.named("PyTorch", "torch") from error
        refuse_code(spec)
        refuse_newer(spec, "pytorch_version", installed=str(torch.__version__), library="PyTorch")
        data = spec.folder / str(spec.options.get("model_data", ""))
        if not (data / PICKLED).is_file():
            return TorchRuntime(_load_exported(model_file(spec, "model_data", EXPORTED)), spec.signature)
        refuse_pickle(
            spec,
            "a pickled module",
            allowed=allow_pickle,
            instead="log it with serialization_format='pt2' and an input_example",
        )
        return TorchRuntime(_load_pickled(model_file(spec, "model_data", PICKLED)), spec.signature)


class TorchRuntime(Network):
    """A module without gradients, on the CPU. Threads may share it as long as its `forward` only reads."""

    def __init__(self, module: Any, signature: Signature) -> None:  # noqa: ANN401 -- without types
        # As MLflow feeds it: a frame becomes 32-bit floats, a matrix keeps its type.
        super().__init__(signature, library="PyTorch", dtype=np.float32 if signature.named else None)
        self.module = module

    def predict(self, columns: Columns) -> Prediction:
        import torch

        try:
            with torch.inference_mode():
                # Copied, because a module may write to its inputs, and what a caller gave is not ours to change.
                said = self.module(*(torch.from_numpy(np.array(values)) for values in self.arrays(columns)))
        except (RuntimeError, TypeError, ValueError, IndexError) as error:  # how PyTorch refuses shapes and types
            raise InvalidInput(f"the model refuses these rows: {error}", field="inputs") from error
        return prediction_of(_outputs(said))


def _outputs(said: Any) -> Mapping[str, Array]:  # noqa: ANN401 -- a module returns what it likes
    named = named_outputs(said)
    if not all(callable(getattr(one, "numpy", None)) for one in named.values()):
        raise Unsupported("the model returns something else than tensors, or lists or mappings of tensors")
    return {name: one.numpy() for name, one in named.items()}


def _load_exported(file: Path) -> object:
    import torch

    content = file.read_bytes()
    reading(file, lambda: check_program(content))
    return reading(file, lambda: _program(torch, content))


def _program(torch: Any, content: bytes) -> object:  # noqa: ANN401 -- without types
    from io import BytesIO

    return torch.export.load(BytesIO(content)).module()


def _load_pickled(file: Path) -> object:
    import torch

    module: Any = reading(file, lambda: torch.load(file, map_location="cpu", weights_only=False))
    if not isinstance(module, torch.nn.Module):
        raise InvalidInput(f"'{file.name}' holds a {type(module).__name__}, and no module", field="model")
    return module.eval()
