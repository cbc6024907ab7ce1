"""Two models of one network under the same names, so that they can be compared: by rule, never by guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from translate.errors import UsageError
from translate.models.base import Array, Gradients, Loss, Model, Spec
from translate.models.renamed import RenamedInputs, signature_names, with_signature_names


def parse_renames(options: Sequence[str]) -> dict[str, str]:
    """Read `--rename SOURCE=TARGET` options as {name in the source: name in the target}. Raises `UsageError`."""
    renames: dict[str, str] = {}
    for option in options:
        ours, equals, theirs = option.partition("=")
        if not (ours and equals and theirs):
            raise UsageError(f"--rename {option}: expected NAME_IN_SOURCE=NAME_IN_TARGET")
        if ours in renames or theirs in renames.values():
            raise UsageError(f"--rename {option}: one of the two names is renamed already")
        renames[ours] = theirs
    return renames


def align(
    source: Model, target: Model, renames: Mapping[str, str] | None = None, notes: list[str] | None = None
) -> tuple[Model, Model]:
    """Return both models with those inputs and outputs under one name that are each other's.

    These are: the ones of equal names; inputs of names that become equal when TensorFlow takes them for a signature
    (`signature_names`); those in `renames`, {name in the source: name in the target}; and where each model has exactly
    one input, or exactly one output, that one, which is said in `notes`. All others keep their names.
    Raises `UsageError` when a name in `renames` does not exist.
    """
    renames = renames or {}
    ours = with_signature_names(source)
    source_inputs = signature_names(source)
    inputs = signature_names(target)
    outputs = {spec.name: spec.name for spec in target.outputs}
    known = {spec.name for spec in source.outputs}
    for name, other in renames.items():
        if not ((name in source_inputs and other in inputs) or (name in known and other in outputs)):
            raise UsageError(f"--rename {name}={other}: {_names('source', source)}; {_names('target', target)}")
        if name in source_inputs and other in inputs:
            inputs[other] = source_inputs[name]
        if name in known and other in outputs:
            outputs[other] = name
    _pair("input", ours.inputs, inputs, notes)
    _pair("output", ours.outputs, outputs, notes)
    for role, names in (("input", inputs), ("output", outputs)):
        if len(set(names.values())) < len(names):
            raise UsageError(f"--rename leaves two {role}s of the target with one name: {', '.join(names.values())}")
    if all(old == new for names in (inputs, outputs) for old, new in names.items()):
        return ours, target
    return ours, Renamed(target, inputs, outputs)


class Renamed(RenamedInputs):
    """Another model, its inputs and outputs under other names: `{its own name: the new name}` of each."""

    def __init__(self, model: Model, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> None:
        super().__init__(model, inputs)
        self.outputs = tuple(replace(spec, name=outputs[spec.name]) for spec in model.outputs)
        self._new = dict(outputs)

    def download(self, results: object) -> dict[str, Array]:
        """As the model does."""
        return self._named(super().download(results))

    def run_double(self, feeds: Mapping[str, Array]) -> dict[str, Array] | None:
        """As the model does."""
        results = super().run_double(feeds)
        return None if results is None else self._named(results)

    def run_perturbed(self, feeds: Mapping[str, Array], seed: int) -> dict[str, Array]:
        """As the model does."""
        return self._named(super().run_perturbed(feeds, seed))

    def gradients(
        self, feeds: Mapping[str, Array], loss: Loss, *, double: bool = False, seed: int | None = None
    ) -> Gradients | None:
        """As the model does."""
        return super().gradients(feeds, self._own_loss(loss), double=double, seed=seed)

    def descend(
        self,
        feeds: Mapping[str, Array],
        loss: Loss,
        parameters: Sequence[str],
        learning_rate: float,
        steps: int,
        *,
        double: bool = False,
        seed: int | None = None,
    ) -> list[float] | None:
        """As the model does."""
        own = self._own_loss(loss)
        return super().descend(feeds, own, parameters, learning_rate, steps, double=double, seed=seed)

    def _named(self, results: Mapping[str, Array]) -> dict[str, Array]:
        return {self._new[name]: array for name, array in results.items()}

    def _own_loss(self, loss: Loss) -> Loss:
        back = {new: old for old, new in self._new.items()}

        def own(outputs: Mapping[str, Array]) -> tuple[float, Mapping[str, Array]]:
            value, gradients = loss(self._named(outputs))
            return value, {back[name]: gradient for name, gradient in gradients.items()}

        return own


def _pair(role: str, ours: Sequence[Spec], names: dict[str, str], notes: list[str] | None) -> None:
    """Give the target's only input or output the name of the source's only one."""
    if len(ours) != 1 or len(names) != 1:
        return
    (own,) = names
    if names[own] != ours[0].name and notes is not None:
        notes.append(f'the only {role} is "{ours[0].name}" in the source and "{own}" in the target: compared as one')
    names[own] = ours[0].name


def _names(side: str, model: Model) -> str:
    inputs, outputs = (", ".join(spec.name for spec in specs) for specs in (model.inputs, model.outputs))
    return f"the {side} has the inputs {inputs} and the outputs {outputs}"
