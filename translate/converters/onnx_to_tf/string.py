"""Operators on text."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np
import tensorflow as tf

from translate.converters.onnx_to_tf.shapes import rank
from translate.converters.onnx_to_tf.table import lower


@lower("StringConcat", since=20)
def string_concat(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Join texts pairwise, broadcasting."""
    return tf.add(x, y)


@lower("RegexFullMatch", since=20)
def regex_full_match(x: tf.Tensor, *, pattern: str | None = None) -> tf.Tensor:
    """Say for each text whether it matches `pattern`, in the syntax of RE2, from its start to its end."""
    return tf.strings.regex_full_match(x, pattern or "")


@lower("StringSplit", since=20)
def string_split(
    x: tf.Tensor, *, delimiter: str | None = None, maxsplit: int | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Split each text of [...] at `delimiter` (blanks if absent), at most `maxsplit` times.

    Returns the parts [..., most parts], filled up with empty texts, and how many there are, int64 [...].
    """
    parts = tf.strings.split(tf.reshape(x, [-1]), delimiter, -1 if maxsplit is None else maxsplit)
    if not delimiter:
        # With a limit, TensorFlow adds an empty part where nothing but blanks is left.
        parts = tf.ragged.boolean_mask(parts, parts != "")
    filled = parts.to_tensor("")
    shape = tf.concat([tf.shape(x), tf.shape(filled)[1:]], 0)
    return tf.reshape(filled, shape), tf.reshape(parts.row_lengths(), tf.shape(x))


@lower("StringNormalizer")
def string_normalizer(
    x: tf.Tensor,
    *,
    case_change_action: Literal["NONE", "LOWER", "UPPER"] = "NONE",
    is_case_sensitive: int = 0,
    locale: str | None = None,
    stopwords: tuple[str, ...] | None = None,
) -> tf.Tensor:
    """Remove the texts that are `stopwords` from [C] or [1, C] and change the case of the others.

    One empty text is left when all are removed. Cases are Unicode's, whatever the `locale`.
    """
    words = tf.reshape(x, [-1])
    if stopwords:
        # Without regard to case, both sides are compared in the same case.
        compared = words if is_case_sensitive else tf.strings.lower(words, "utf-8")
        unwanted = stopwords if is_case_sensitive else tuple(word.lower() for word in stopwords)
        words = tf.boolean_mask(words, tf.reduce_all(compared[:, None] != tf.constant(unwanted), 1))
        words = tf.cond(tf.size(words) > 0, lambda: words, lambda: tf.constant([""]))
    if case_change_action != "NONE":
        words = (tf.strings.lower if case_change_action == "LOWER" else tf.strings.upper)(words, "utf-8")
    return words if rank(x) == 1 else words[None]


@lower("TfIdfVectorizer", since=9)
def tf_idf_vectorizer(
    x: tf.Tensor,
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
) -> tf.Tensor:
    """Count in each row of [C] or [N, C] the n-grams of a pool; float32 [columns] or [N, columns].

    Each n-gram of the pool has a column, `ngram_indexes`. Up to `max_skip_count` elements may lie between its own.
    `mode` returns the counts, `weights` where there is a count, or the counts times `weights`.
    """
    rows = x if rank(x) == 2 else x[None]
    pool = np.array(pool_int64s, np.int64) if pool_strings is None else np.array(pool_strings, object)
    rows = rows if pool_strings is not None else tf.cast(rows, tf.int64)
    length = tf.shape(rows)[1]
    counts = []
    for n, (start, stop) in enumerate(pairwise([*ngram_counts, len(pool)]), start=1):
        grams = pool[start:stop].reshape(-1, n)
        if not min_gram_length <= n <= max_gram_length:
            counts.append(tf.zeros([tf.shape(rows)[0], len(grams)], tf.int32))
            continue
        found = []
        # A single element has nothing to skip.
        for step in range(1, (1 if n == 1 else max_skip_count + 1) + 1):
            windows = tf.maximum(length - (n - 1) * step, 0)
            same = [rows[:, i * step : i * step + windows, None] == grams[:, i] for i in range(n)]
            found.append(tf.math.count_nonzero(tf.reduce_all(tf.stack(same), 0), 1, dtype=tf.int32))
        counts.append(tf.add_n(found))
    # Column by column: which n-gram of the pool it counts.
    place = np.argsort(ngram_indexes)
    result = tf.cast(tf.gather(tf.concat(counts, 1), place, axis=1), tf.float32)
    weight = np.ones(len(place), np.float32) if weights is None else np.array(weights, np.float32)[place]
    if mode == "IDF":
        result = tf.where(result > 0, weight, 0.0)
    elif mode == "TFIDF":
        result *= weight
    return result if rank(x) == 2 else result[0]
