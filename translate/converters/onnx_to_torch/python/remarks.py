"""Comments, where PyTorch does something otherwise than Keras and a reader would wonder."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import fx

_REMARKS = [
    (r"nn\.BatchNorm.*momentum=", "PyTorch's momentum is one minus that of Keras."),
    (r"bias_hh_l0\w*\.requires_grad_", "Keras has one bias where PyTorch has two; this one stays zero."),
    (r"\.permute\(0, (2, 1|3, 1, 2|4, 1, 2, 3)\)", "Keras has the channels last."),
    (r"F\.pad\(.*\[(0, 1|1, 2)(, \d, \d)*\]", 'Where Keras pads "same" unevenly, it pads more at the end.'),
    (r"finfo\(", "Not -inf: a step that may look nowhere looks everywhere, as in Keras."),
]


class Remarks:
    """The remarks, each of which is made once in a file."""

    def __init__(self) -> None:
        self._left = list(_REMARKS)

    def said(self, lines: Sequence[str], module: fx.GraphModule) -> list[str]:
        """Return `lines` of code, and remarks before those that need one, if `module` was made of Keras's layers."""
        result: list[str] = []
        for line in lines:
            remark = next((one for one in self._left if re.search(one[0], line)), None)
            if remark is not None and ("stored" in module.meta or "about" in module.meta):
                self._left.remove(remark)
                result.append(f"{re.match(' *', line)[0]}# {remark[1]}")  # type: ignore[index]
            result.append(line)
        return result
