"""Counts of n-grams. PyTorch has no text, so that those of numbers are all that is left here."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch

from translate.converters.onnx_to_torch.table import lower
from translate.converters.onnx_to_torch.values import record
from translate.errors import UnsupportedError


@lower("TfIdfVectorizer", since=9)
def tf_idf_vectorizer(
    x: torch.Tensor,
    *,
    max_gram_length: int,
    max_skip_count: int,
    min_gram_length: int,
    mode: Literal["TF", "IDF", "TFIDF"],
    ngram_counts: tuple[int, ...],
    ngram_indexes: tuple[int, ...],
    pool_int64s: tuple[int, ...] | None = None,
    pool_strings: tuple[str, ...] | None = None,
    weights: tuple[float, ...] | None = None,
) -> torch.Tensor:
    """Count in each row of [C] or [N, C] the n-grams of a pool; float32 [columns] or [N, columns].

    Each n-gram of the pool has a column, `ngram_indexes`. Up to `max_skip_count` elements may lie between its own.
    `mode` returns the counts, `weights` where there is a count, or the counts times `weights`.
    Limits: the pool must be of numbers.
    """
    if pool_int64s is None:
        raise UnsupportedError("PyTorch has no strings")
    rows = x if x.ndim == 2 else x.unsqueeze(0)
    pool = np.array(pool_int64s, np.int64)
    counts = []
    for n, (start, stop) in enumerate(pairwise([*ngram_counts, len(pool)]), start=1):
        grams = torch.from_numpy(pool[start:stop].reshape(-1, n))
        if not min_gram_length <= n <= max_gram_length:
            counts.append(record(torch.zeros, [rows.size(0), len(grams)], dtype=torch.int64))
            continue
        found: Any = 0
        # A single element has nothing to skip.
        for step in range(1, (1 if n == 1 else max_skip_count + 1) + 1):
            # A slice from behind the last element is empty, and so are all that start before and end there.
            last = (n - 1) * step
            same = [rows[:, i * step : i * step - last or None].unsqueeze(2) == grams[:, i] for i in range(n)]
            every = torch.stack(same).all(0) if n > 1 else same[0]
            found = found + every.sum(1)
        counts.append(found)
    # Column by column: which n-gram of the pool it counts.
    place = np.argsort(ngram_indexes)
    result = torch.cat(counts, 1)[:, torch.from_numpy(place)].to(torch.float32)
    weight = torch.from_numpy(
        np.ones(len(place), np.float32) if weights is None else np.array(weights, np.float32)[place]
    )
    if mode == "IDF":
        result = torch.where(result > 0, weight, 0.0)
    elif mode == "TFIDF":
        result = result * weight
    return result if x.ndim == 2 else result.squeeze(0)
