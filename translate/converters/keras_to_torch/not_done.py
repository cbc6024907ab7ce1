"""Classes of `keras.layers` that have no row, each with the reason.

A test holds that every one of them is either in the table or here.
"""

from __future__ import annotations

_AUGMENTATION = "it changes images at random, in training, in a way that has not been written"
_STRINGS = "PyTorch has no strings"
_FOREIGN = "it holds code of another library"
_BASE = "it is a base class, which computes nothing"
_CELL = "a cell is translated inside of an RNN layer only"

NOT_DONE: dict[str, str] = {
    "AugMix": _AUGMENTATION,
    "AutoContrast": "its histograms have not been written",
    "ContrastLimitedAdaptiveHistogramEqualization": "its histograms have not been written",
    "ConvLSTM1D": "its steps have not been written",
    "ConvLSTM2D": "its steps have not been written",
    "ConvLSTM3D": "its steps have not been written",
    "CutMix": _AUGMENTATION,
    "Equalization": "its histograms have not been written",
    "FlaxLayer": _FOREIGN,
    "GRUCell": _CELL,
    "HashedCrossing": _STRINGS,
    "Hashing": _STRINGS,
    "InputLayer": "an input is no layer in PyTorch",
    "InputSpec": "it describes an input",
    "IntegerLookup": "its table of vocabulary has not been written",
    "JaxLayer": _FOREIGN,
    "LSTMCell": _CELL,
    "Lambda": "it is code, of which only Keras's operations are translated",
    "Layer": _BASE,
    "MaxNumBoundingBoxes": "bounding boxes have not been written",
    "MelSpectrogram": "its spectrum has not been written",
    "MixUp": _AUGMENTATION,
    "RandAugment": _AUGMENTATION,
    "RandomBrightness": _AUGMENTATION,
    "RandomColorDegeneration": _AUGMENTATION,
    "RandomColorJitter": _AUGMENTATION,
    "RandomContrast": _AUGMENTATION,
    "RandomCrop": _AUGMENTATION,
    "RandomElasticTransform": _AUGMENTATION,
    "RandomErasing": _AUGMENTATION,
    "RandomFlip": _AUGMENTATION,
    "RandomGaussianBlur": _AUGMENTATION,
    "RandomGrayscale": _AUGMENTATION,
    "RandomHue": _AUGMENTATION,
    "RandomInvert": _AUGMENTATION,
    "RandomPerspective": _AUGMENTATION,
    "RandomPosterization": _AUGMENTATION,
    "RandomRotation": _AUGMENTATION,
    "RandomSaturation": _AUGMENTATION,
    "RandomSharpness": _AUGMENTATION,
    "RandomShear": _AUGMENTATION,
    "RandomTranslation": _AUGMENTATION,
    "RandomZoom": _AUGMENTATION,
    "STFTSpectrogram": "its spectrum has not been written",
    "SimpleRNNCell": _CELL,
    "Solarization": "it is an augmentation that has not been written",
    "SpectralNormalization": "its iteration in training has not been written",
    "StackedRNNCells": _CELL,
    "StringLookup": _STRINGS,
    "TFSMLayer": "it is a TensorFlow graph, without layers",
    "TextVectorization": _STRINGS,
    "TorchModuleWrapper": _FOREIGN,
    "Wrapper": _BASE,
}
