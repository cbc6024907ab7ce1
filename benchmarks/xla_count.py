"""How many of the tests' models, translated to TensorFlow, XLA compiles, and are equal to their source then.

    python -m benchmarks.xla_count               all models that have no result yet, then the table
    python -m benchmarks.xla_count resnet bert   those whose names begin so
    python -m benchmarks.xla_count --again       those that failed, once more

The verdict is that of `translate verify --xla`: the SavedModel runs with `jit_compile=True`, compiled anew for each set
of sizes. What `translate inspect --xla` says of the source must agree with it. Results are kept in build/xla/ (see
`every_model`). Prints the table of docs/xla.md.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.every_model import Count, Row, differences, source_of


def compile_model(name: str) -> Row:
    """Translate, compile and compare a model; return the word for what came of it, and what `inspect` said."""
    from translate import torch2tf
    from translate.comparison import Side, compare_pair, open_pair
    from translate.inspection import inspect
    from translate.models import open_model
    from translate.models.device import placement
    from translate.verify.cases import InputPlan

    source, inputs = source_of(name)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "model"
        torch2tf(source, target, inputs=inputs, verify=False)
        notes: list[str] = []
        said = inspect(open_model(source, inputs=inputs, notes=notes), notes, xla=True).xla
        assert said is not None, "it was asked"
        pair = open_pair(Side(source, inputs), Side(target), placement=placement(xla=True))
        reason = differences(compare_pair(pair, InputPlan()).verdict)
    if said.runs is ("--xla" in reason):
        return {"word": "contradiction", "reason": f"inspect says: {said}; verify says: {reason}"}
    return {"word": "not equal" if reason else "equal", "reason": reason, "inspect": str(said)}


if __name__ == "__main__":
    count = Count(Path("build/xla"), compile_model)
    sys.exit(count.main("xla_count", __doc__.partition("\n")[0]))
