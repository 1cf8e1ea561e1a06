"""A runtime of MLServer for a traced PyTorch model, which MLServer has none for."""

from pathlib import Path

import plain_model
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, NumpyRequestCodec
from mlserver.types import InferenceRequest, InferenceResponse
from mlserver.utils import get_model_uri


class TorchModel(MLModel):
    """Predict tensors."""

    async def load(self) -> bool:
        self._predict = plain_model.load(Path(await get_model_uri(self._settings)).parent)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = self.decode_request(payload, default_codec=NumpyRequestCodec)
        output = NumpyCodec.encode_output("predict", self._predict(rows))
        return InferenceResponse(model_name=self.name, outputs=[output])
