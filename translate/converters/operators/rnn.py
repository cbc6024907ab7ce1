"""Recurrent networks: the directions in which they run, and their activations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeVar

from translate.errors import UnsupportedError

Tensor = TypeVar("Tensor")
Direction = Literal["forward", "reverse", "bidirectional"]

# Whether each direction, in ONNX's order, runs backwards.
BACKWARDS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}

# The defaults of alpha, or of alpha and beta, of the activations that take them; their names in lower case.
_DEFAULTS: dict[str, tuple[float, ...]] = {
    "leakyrelu": (0.01,),
    "thresholdedrelu": (1.0,),
    "elu": (1.0,),
    "affine": (1.0, 0.0),
    "scaledtanh": (1.0, 1.0),
    "hardsigmoid": (0.2, 0.5),
}


def named_activations(
    functions: Mapping[str, Callable[..., Tensor]],
    names: Sequence[str],
    alphas: Sequence[float] | None,
    betas: Sequence[float] | None,
) -> list[Callable[[Tensor], Tensor]]:
    """Return the activations called `names`; each takes its alpha and beta, if any, off the front of the lists.

    `functions` has them by name in lower case, to be called with a tensor, alpha and beta. Raises `UnsupportedError`
    for a name that it lacks.
    """
    lists = iter(alphas or ()), iter(betas or ())

    def activation(name: str) -> Callable[[Tensor], Tensor]:
        if name.lower() not in functions:
            raise UnsupportedError(f"activation {name!r} is unknown")
        function, defaults = functions[name.lower()], _DEFAULTS.get(name.lower(), ())
        arguments = [next(values, default) for values, default in zip(lists, defaults, strict=False)]
        return (lambda x: function(x, *arguments)) if arguments else function

    return [activation(name) for name in names]
