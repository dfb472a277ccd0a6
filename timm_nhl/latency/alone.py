"""Runs one graph in a process of its own, as a device does, and prints the peak memory of the process in bytes.

    python alone.py RUNTIME GRAPH IMAGES THREADS

`IMAGES` is a .npy file of the graph's input. Nothing of this package is imported, so that its memory is not counted.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    runtime, graph, file, threads = sys.argv[1:]
    images: Any = np.load(file)
    if runtime == "onnx":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(threads)
        options.log_severity_level = 3  # errors
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        for _ in range(3):
            session.run(["probabilities"], {"images": images})
    else:
        import openvino

        asked = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": int(threads)}
        compiled = openvino.compile_model(graph, "CPU", asked)
        for _ in range(3):
            compiled([images])
    print(_find_peak())  # noqa: T201


def _find_peak() -> int:
    """The peak memory of this process in bytes; Linux's `ru_maxrss` would be that of the process that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
