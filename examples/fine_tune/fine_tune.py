"""Fine-tune a translated model in TensorFlow, and take the weights back to PyTorch.

    translate torch2tf fixtures/digits_cnn.pt2 -o digits_tf
    python examples/fine_tune/fine_tune.py digits_tf tuned/digits
    translate extract-weights digits_tf --checkpoint tuned/digits -o tuned.safetensors

TensorFlow and Keras do the training: nothing of this project is imported but the fixture's pictures.
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).parents[2]))
from fixtures.data import digits


def main(saved_model: str, checkpoint: str, batch: int = 64, rate: float = 1e-3) -> None:
    """Train for one epoch and write a checkpoint."""
    split = digits()
    # The checkpoint holds what hangs on this object: all variables under their names in PyTorch.
    model = tf.saved_model.load(saved_model)
    # Written with --trainable it has a function for train mode; else it trains on that of inference.
    forward = getattr(model, "training", model)
    order = np.random.default_rng(0).permutation(len(split.train_x))
    examples = tf.data.Dataset.from_tensor_slices((split.train_x[order], split.train_y[order])).batch(batch)
    optimizer = keras.optimizers.Adam(rate)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, forward(images)))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    for images, labels in examples:
        loss = step(images, labels)
    print(f"loss of the last batch {float(loss):.4f}")
    tf.train.Checkpoint(model=model).write(checkpoint)


if __name__ == "__main__":
    main(*sys.argv[1:])
