"""What differs between the inputs and outputs that two models declare."""

from __future__ import annotations

from translate.models.base import Model, Spec


def interface_differences(source: Model, target: Model) -> list[str]:
    """Return what differs between the two interfaces; the order of inputs and outputs carries no meaning."""
    differences: list[str] = []
    for role, ours, theirs in (
        ("input", source.inputs, target.inputs),
        ("output", source.outputs, target.outputs),
    ):
        target_specs = {spec.name: spec for spec in theirs}
        source_names = {spec.name for spec in ours}
        differences += [f'{role} "{spec.name}" is missing in the target' for spec in ours
                        if spec.name not in target_specs]  # fmt: skip
        differences += [f'{role} "{name}" is only in the target' for name in target_specs if name not in source_names]
        for spec in ours:
            if spec.name in target_specs:
                differences += _spec_differences(role, spec, target_specs[spec.name])
    return differences


def _spec_differences(role: str, source: Spec, target: Spec) -> list[str]:
    """Compare dtype, rank and sizes; a symbolic dimension of the source must stay open in the target."""
    if source.dtype != target.dtype:
        return [f'{role} "{source.name}" is {source.dtype} in the source and {target.dtype} in the target']
    if source.shape is None or target.shape is None:
        return []
    fits = len(source.shape) == len(target.shape) and all(
        # An open dimension of the source's output may be known to the target; the runs tell whether that is right.
        a == b or not isinstance(b, int) or (role == "output" and a is None)
        for a, b in zip(source.shape, target.shape, strict=True)
    )
    return [] if fits else [f"{role} {source} of the source is {target} in the target"]
