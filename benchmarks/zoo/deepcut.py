"""The network of deepcut, which cuts Thai text into words, without the optimiser that it is trained with."""

from __future__ import annotations

from typing import Any


def network() -> Any:
    """Return the Keras model that deepcut's weights are for: characters and their kinds, 21 each, to a probability."""
    import keras
    from keras import layers as L

    characters, kinds = (keras.Input((21,), dtype="int32", name=name) for name in ("characters", "kinds"))
    a = L.BatchNormalization()(L.SpatialDropout1D(0.15)(L.Embedding(178, 32)(characters)))
    ngrams = []
    for window in range(1, 13):
        filters = 200 if window < 9 else 150 if window < 12 else 100
        ngram = L.TimeDistributed(L.Dense(5))(L.Conv1D(filters, window, activation="relu")(a))
        ngrams.append(L.ZeroPadding1D((0, window - 1))(ngram))
    b = L.SpatialDropout1D(0.15)(L.Embedding(12, 12)(kinds))
    x = L.BatchNormalization()(L.Concatenate()([a, L.Maximum()(ngrams), b]))
    x = L.Dense(100, activation="relu")(L.Flatten()(x))
    return keras.Model([characters, kinds], L.Dense(1, activation="sigmoid")(x))
