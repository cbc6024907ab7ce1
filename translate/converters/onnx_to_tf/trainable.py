"""A SavedModel with two functions of one module: what it computes in eval mode, and what in train mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx_ir as ir
import tensorflow as tf

from translate.converters.metadata import UPDATED
from translate.converters.onnx_to_tf import export
from translate.converters.onnx_to_tf.draws import Draws, FixedDraws, GeneratorDraws, drawing_from
from translate.converters.onnx_to_tf.export import Program
from translate.errors import UnsupportedError
from translate.manifest import Manifest, Signature, update_name

TRAINING = "training"


class Trainable:
    """Both graphs as TensorFlow functions on the same variables, ready to be written.

    `training` is the graph of train mode, whose outputs with `translate.updated` are the new values of variables.
    Raises `CannotTranslateError` naming every node of either that has no lowering, and `UnsupportedError` for a
    weight that would have to be constant.
    """

    def __init__(self, inference: ir.Model, training: ir.Model, state: Sequence[ir.Value]) -> None:
        """Build both graphs; `state` are the initializers of `training` that it changes, as they were exported."""
        self._inference = Program(inference)
        self._training = Program(training, [self._inference], state)
        names = training.metadata_props[UPDATED]
        self._updates = {update_name(name): name for name in names.split(",") if name}
        self._refuse_constants(inference, training)
        draws = GeneratorDraws()
        self._root = export.root_of(self._inference)
        self._signature = self._function(draws)
        # What is random shows when the graph is built.
        self._signature.get_concrete_function()
        self.is_random = draws.used
        self._generator = draws.generator

    def save(self, directory: Path) -> None:
        """Write the signatures `serving_default` and `training` to `directory`.

        The loaded object's `training(*inputs)` returns what the module does in train mode; where it draws random
        numbers, `set_seed(n)` begins their sequence anew.
        """
        root = self._root
        structured = export.structure(self._training.structure, self._returned())

        @tf.function(input_signature=self._training.specs(), autograph=False)
        def training(*inputs: tf.Tensor) -> Any:
            return structured(self._signature(*inputs))

        root.training = training
        if self.is_random:
            state = self._generator.state
            root.random_state = state

            @tf.function(input_signature=[tf.TensorSpec([], tf.int64, "seed")], autograph=False)
            def set_seed(seed: tf.Tensor) -> None:
                # As tf.random.create_rng_state makes it of a number: no blocks drawn yet.
                state.assign(tf.stack([seed, 0, 0]))

            root.set_seed = set_seed
        export.hang_variables(root, self._variables())
        signatures = {"serving_default": root.serving_default, TRAINING: self._signature}
        tf.saved_model.save(root, str(directory), signatures=signatures)
        self._with_training(export.manifest(self._inference)).write(directory)

    def save_fixed(self, directory: Path) -> None:
        """Write `training` alone to `directory`, without chance: every random draw gives one known number."""
        root = export.Trackable()
        root.training = self._function(FixedDraws())
        export.hang_variables(root, self._variables())
        tf.saved_model.save(root, str(directory), signatures={TRAINING: root.training})
        self._with_training(Manifest()).write(directory)

    def _refuse_constants(self, inference: ir.Model, training: ir.Model) -> None:
        """Raise `UnsupportedError` where a weight that changes is one that must be known while translating."""
        for program, graph in ((self._inference, inference.graph), (self._training, training.graph)):
            for name in self._updates.values():
                if name in graph.initializers and graph.initializers[name] not in program.variables:
                    raise UnsupportedError(
                        f"{name} changes in train mode, but decides on shapes, which TensorFlow fixes"
                    )

    def _function(self, draws: Draws) -> Any:
        @tf.function(input_signature=self._training.specs(), autograph=False)
        def training(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            with drawing_from(draws):
                results = self._training(*inputs)
            returned = {}
            for output, value in results.items():
                if output in self._updates:
                    self._training.assign(self._updates[output], value)
                else:
                    returned[output] = tf.identity(value)
            return returned

        return training

    def _returned(self) -> list[str]:
        return [output for output in self._training.outputs if output not in self._updates]

    def _variables(self) -> dict[str, tf.Variable]:
        return export.named_variables({"": self._inference, TRAINING: self._training})

    def _with_training(self, known: Manifest) -> Manifest:
        """Add to a manifest the signature, the weights that only it reads, and which of them it changes."""
        # Of a weight that both read, the first graph says how it is stored.
        programs = (self._training, self._inference)
        parameters = {name: one for program in programs for name, one in export.manifest(program).parameters.items()}
        own = Signature([spec.name for spec in self._training.specs()], self._returned())
        return replace(known, parameters=parameters, updated=tuple(self._updates.values()), signatures={TRAINING: own})
