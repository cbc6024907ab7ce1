"""How many of the tests' models become TFLite without TensorFlow's own operators (Flex), and are equal.

    python -m benchmarks.tflite_count               all models that have no result yet, then the table
    python -m benchmarks.tflite_count resnet bert   those whose names begin so
    python -m benchmarks.tflite_count --again       those that failed, once more

Results are kept in build/tflite/ (see `every_model`). Prints the table of docs/tflite.md.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.every_model import Count, Row, differences, source_of


def translate_to_tflite(name: str) -> Row:
    """Translate a model; return the word for what came of it."""
    from translate import torch2tf
    from translate.errors import CannotTranslateError
    from translate.routes import NotEqualError

    source, inputs = source_of(name)
    with tempfile.TemporaryDirectory() as folder:
        try:
            torch2tf(source, Path(folder) / "model.tflite", format="tflite", inputs=inputs)
        except CannotTranslateError as error:
            return {"word": "refused", "reason": str(error)}
        except NotEqualError as error:
            return {"word": "not equal", "reason": differences(error.result.verdict)}
    return {"word": "equal", "reason": ""}


if __name__ == "__main__":
    count = Count(Path("build/tflite"), translate_to_tflite)
    sys.exit(count.main("tflite_count", __doc__.partition("\n")[0]))
