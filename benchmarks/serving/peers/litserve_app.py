"""A LitServe server with batching: `python litserve_app.py PORT`, the model's folder in BENCH_MODEL.

A batch of LitServe is a list of requests; each may hold one row or many, as JSON or as the bytes of an array in a form.
"""

import base64
import os
import sys
from pathlib import Path

import litserve
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import plain_model

BATCH = 32
# LitServe waits for a batch to fill; at one connection each request would pay this, so it is as short as it can be.
WAIT_S = 0.001


class Model(litserve.LitAPI):
    """Predict the rows of many requests at once."""

    def setup(self, device):
        self._predict = plain_model.load(Path(os.environ["BENCH_MODEL"]))

    def decode_request(self, request):
        if "array" in request:
            flat = np.frombuffer(base64.b64decode(request["array"]), dtype=request["dtype"])
            return flat.reshape(-1, int(request["width"]))
        return np.array(request["rows"])

    def batch(self, inputs):
        return inputs

    def predict(self, inputs):
        answers = self._predict(np.concatenate(inputs))
        return np.split(answers, np.cumsum([len(rows) for rows in inputs])[:-1])

    def unbatch(self, output):
        return output

    def encode_response(self, output):
        return {"answers": output.tolist()}


if __name__ == "__main__":
    api = Model(max_batch_size=BATCH, batch_timeout=WAIT_S)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=60)
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False, log_level="error"
    )
