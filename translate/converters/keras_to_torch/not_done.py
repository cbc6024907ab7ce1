"""Classes of `keras.layers`, and operations of `keras.ops`, that have no row, each with the reason.

Tests hold that every one of them is either in the table or here.
"""

from __future__ import annotations

_STRINGS = "PyTorch has no strings"
_HASHES = "it hashes numbers as strings, and PyTorch has no strings"
_FOREIGN = "it holds code of another library"
_BASE = "it is a base class, which computes nothing"

NOT_DONE: dict[str, str] = {
    "FlaxLayer": _FOREIGN,
    "HashedCrossing": _HASHES,
    "Hashing": _HASHES,
    "InputLayer": "an input is no layer in PyTorch",
    "InputSpec": "it describes an input",
    "JaxLayer": _FOREIGN,
    "Lambda": "it is code, of which only Keras's operations are translated",
    "Layer": _BASE,
    "StringLookup": _STRINGS,
    "TFSMLayer": "it is a TensorFlow graph, without layers",
    "TextVectorization": _STRINGS,
    "TorchModuleWrapper": _FOREIGN,
    "Wrapper": _BASE,
}

NOT_DONE_OPERATIONS: dict[str, str] = {
    "Arange": "how many numbers it returns depends on numbers that are computed",
    "Argpartition": "which of the elements it puts first is not defined",
    "AssociativeScan": "it calls a function on pairs in an order that is not defined",
    "CTCDecode": "its search has not been written",
    "CTCLoss": "PyTorch's loss does not say its shape before it runs",
    "Eig": "TensorFlow and PyTorch scale complex eigenvectors differently",
    "ElasticTransform": "it draws random numbers whenever it is used",
    "JVP": "it differentiates a function",
    "LuFactor": "TensorFlow and PyTorch write the exchange of rows differently",
    "SSIM": "it compares images, in no model that has been seen",
    "SegmentReduction": "it is a base class, which computes nothing",
}
