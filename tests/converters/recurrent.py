"""Ways to use ONNX's recurrent operators: shared by the tests of both tables."""

from __future__ import annotations

import numpy as np

TIMES, BATCH, FEATURES, HIDDEN = 5, 3, 4, 2
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
STATES = {"LSTM": 2, "GRU": 1, "RNN": 1}
# Of one direction; what is left out of alpha and beta has its default.
ACTIVATIONS = {
    "LSTM": (["HardSigmoid", "Relu", "ScaledTanh"], [0.3, 1.2], [0.4, 0.8]),
    "GRU": (["Sigmoid", "LeakyRelu"], [0.05], []),
    "RNN": (["Affine"], [0.9], [0.1]),
}


def inputs(op: str, directions: int, seed: int = 0) -> dict[str, np.ndarray | None]:
    generator = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return generator.standard_normal(shape, np.float32)

    gates = GATES[op]
    named = {
        "x": draw(TIMES, BATCH, FEATURES),
        "w": draw(directions, gates * HIDDEN, FEATURES),
        "r": draw(directions, gates * HIDDEN, HIDDEN),
        "b": draw(directions, 2 * gates * HIDDEN),
        "sequence_lens": None,
        "initial_h": None,
    }
    return named | ({"initial_c": None, "p": None} if op == "LSTM" else {})


def variant(name: str, op: str, directions: int) -> tuple[dict[str, np.ndarray | None], dict[str, object]]:
    """The inputs and attributes of one way to use an operator."""
    named, attributes = inputs(op, directions), {"hidden_size": HIDDEN}
    state = np.random.default_rng(1).standard_normal((2, directions, BATCH, HIDDEN), np.float32)
    match name:
        case "no bias":
            named["b"] = None
        case "sequence lengths":
            named["sequence_lens"] = np.array([5, 1, 3], np.int32)
        case "initial state":
            named |= {"initial_h": state[0]} | ({"initial_c": state[1]} if op == "LSTM" else {})
        case "clip":
            attributes["clip"] = 0.3
        case "activations":
            names, alpha, beta = ACTIVATIONS[op]
            attributes |= {"activations": names * directions, "activation_alpha": alpha * directions}
            attributes |= {"activation_beta": beta * directions} if beta else {}
        case "peepholes":
            named["p"] = np.random.default_rng(2).standard_normal((directions, 3 * HIDDEN), np.float32)
        case "input_forget":
            attributes["input_forget"] = 1
        case "linear_before_reset":
            attributes["linear_before_reset"] = 1
    return named, attributes


def batch_first(named: dict[str, np.ndarray | None]) -> list[np.ndarray | None]:
    """The inputs as layout=1 wants them."""
    return [
        array.transpose(1, 0, 2) if array is not None and name in ("x", "initial_h", "initial_c") else array
        for name, array in named.items()
    ]


COMMON = ("plain", "no bias", "sequence lengths", "initial state", "clip", "activations")
VARIANTS = [(op, name) for op in GATES for name in COMMON] + [
    ("LSTM", "peepholes"),
    ("LSTM", "input_forget"),
    ("GRU", "linear_before_reset"),
]
