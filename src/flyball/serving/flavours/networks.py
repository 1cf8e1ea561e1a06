"""What networks of every library have in common: the arrays they are given, and the outputs they return by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from flyball.serving.entities import Array, Columns, Signature
from flyball.serving.flavours.arrays import numbers_only, stacker


class Network:
    """A network that takes one matrix of numbers for all columns, or the tensors that the signature names."""

    def __init__(self, signature: Signature, *, library: str, dtype: npt.DTypeLike | None = None) -> None:
        """Decide once what the network is given.

        Raises:
            Unsupported: a column is no number.
        """
        self.names = signature.names
        self._tensors = signature.inputs[0].tensor is not None
        if not self._tensors:
            numbers_only(signature, library=library)
        self._stack = stacker(signature, dtype=dtype)

    @property
    def order(self) -> tuple[str, ...]:
        """The columns of the matrix that the network takes; nothing where it takes tensors."""
        return () if self._tensors else self.names

    def arrays(self, columns: Columns) -> list[Array]:
        """Return what the network is given, an array for each input."""
        return [columns[name] for name in self.names] if self._tensors else [self._stack(columns)]


def named_outputs(said: Any) -> Mapping[str, Any]:  # noqa: ANN401 -- a tensor of any library, or several
    """Return the outputs of a network by name: those it gave, places in a list, or `output` for the only one."""
    if isinstance(said, Mapping):
        return {str(name): one for name, one in said.items()}
    if isinstance(said, Sequence):
        return {f"output_{place}": one for place, one in enumerate(said)}
    return {"output": said}
