"""What ONNX Runtime is asked to do here, nobody else hears of."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import onnx
from onnx import TensorProto, helper

WAIT_S = 120
CHILD = """
import os, sys
import numpy as np
from flyball.serving.flavours.sessions import Session

session = Session(sys.stdin.buffer.read())
(found,) = session.run({"x": np.ones((2, 3), dtype=np.float32)})
assert found.tolist() == [[1.0] * 3] * 2
opened = [os.readlink(f"/proc/self/fd/{one}") for one in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{one}")]
print([name for name in opened if "onnxruntime" in name])
"""


def test_a_session_leaves_nothing_in_the_home_folder_and_reports_nothing(tmp_path: Path) -> None:
    rows = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 3]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "same", rows[:1], rows[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    # On machines that build software it reports nothing anyway, so the child must not know that it is on one.
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "LD_LIBRARY_PATH", "PYTHONPATH"}}
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=model.SerializeToString(),
        env={**kept, "HOME": str(tmp_path)},
        capture_output=True,
        check=False,
        timeout=WAIT_S,
    )
    assert (done.returncode, done.stdout.strip()) == (0, b"[]"), done.stderr.decode()[-2_000:]
    assert not list(tmp_path.rglob("*onnxruntime*"))
