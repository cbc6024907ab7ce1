"""Results of the zoo in a process that has nothing but PyTorch: do they load, compute the same, and are they alive?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

# Answers each line, a file and one of inputs and outputs, with a line of JSON.
_PROGRAM = """
import json, sys
import numpy, torch
for name in ("translate", "onnx", "onnx_ir", "tensorflow", "keras"):
    sys.modules[name] = None

def leaves(module, inputs):
    return [leaf.detach().numpy().copy() for leaf in torch.utils._pytree.tree_leaves(module(*inputs))]

def answer(program, values):
    saved = numpy.load(values)
    module = torch.export.load(program).module()
    inputs = [torch.from_numpy(saved[f"input{n}"]) for n in range(sum(name.startswith("input") for name in saved))]
    results = leaves(module, inputs)
    for n, result in enumerate(results):
        numpy.testing.assert_allclose(result, saved[f"output{n}"], rtol=1e-4, atol=1e-5)
    parameters = [parameter for parameter in module.parameters() if parameter.numel()]
    if not parameters:
        return None
    with torch.no_grad():
        for parameter in parameters:
            parameter.zero_()
    return not all(map(numpy.array_equal, results, leaves(module, inputs)))

for line in sys.stdin:
    try:
        reply = {"live": answer(*json.loads(line)), "reason": None}
    except Exception as error:
        reply = {"reason": f"{type(error).__name__}: {error}"}
    print(json.dumps(reply), flush=True)
"""


class Reloader:
    """The process, from `with` to its end."""

    def __enter__(self) -> Reloader:
        command = [sys.executable, "-I", "-c", _PROGRAM]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def check(self, program: Path, values: Path) -> dict[str, Any]:
        """Load `program`, an ExportedProgram, and compare it with the `input0`, ..., `output0`, ... in `values`.

        Returns `reason`, why it is not the same, or None; `live`, whether zeros in the place of its parameters change
        what comes out; None where it has none.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(program), str(values)]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            return {"reason": f"the process that loads it ended with {self._process.wait()}"}
        reply: dict[str, Any] = json.loads(line)
        return reply
