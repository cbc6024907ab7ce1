"""Methods of a module against the signatures that they became: what `translate verify --manifest` compares again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from translate.comparison import Comparison, Pair, Side, Wanted, compare_pair, open_pair
from translate.errors import UsageError
from translate.verify.cases import InputPlan
from translate.verify.joined import joined

if TYPE_CHECKING:
    from translate.models.device import Placement
    from translate.models.torch_model import TorchModel
    from translate.verify.tolerance import Allowed


def open_method_pairs(
    source: Side,
    target: Side,
    methods: Sequence[str],
    chosen: Sequence[str],
    plan: InputPlan,
    *,
    renames: Mapping[str, str] | None = None,
    placement: Placement | None = None,
    notes: list[str] | None = None,
) -> dict[str, tuple[Pair, InputPlan]]:
    """Open `methods` of the module `source`, and of the `chosen` ones the signatures, each with its part of `plan`.

    Raises what `open_methods` and `open_pair` raise.
    """
    from translate.models.methods import open_methods

    models = open_methods(
        source.source, methods, source.inputs, weights=source.weights, placement=placement, notes=notes
    )
    pairs: dict[str, tuple[Pair, InputPlan]] = {}
    for name in chosen:
        theirs = replace(target, signature=name)
        if pairs and target.via is None:
            from translate.models.saved_model import SavedModel

            opened = next(iter(pairs.values()))[0].target
            if isinstance(opened, SavedModel):
                # Weights that several signatures read are then there once.
                theirs = Side(SavedModel(opened.path, name, placement, loaded=opened.loaded))
        pair = open_pair(Side(models[name]), theirs, renames=renames, placement=placement, notes=notes)
        pairs[name] = pair, plan_for(models[name], plan)
    return pairs


def plan_for(model: TorchModel, plan: InputPlan | None) -> InputPlan:
    """Return the part of `plan` that is for one method: not every one has every dimension and every input."""
    plan = plan or InputPlan()
    known = {spec.name for spec in model.inputs}
    return replace(
        plan,
        sizes={name: sizes for name, sizes in plan.sizes.items() if name in model.symbols},
        distributions={name: drawn for name, drawn in plan.distributions.items() if name in known},
    )


def chosen_methods(methods: Sequence[str], signature: str | None, for_one: Mapping[str, object]) -> Sequence[str]:
    """Return the methods to compare: all, or that which `signature` names.

    Raises `UsageError` for an unknown name, and for options that are for one method, {"--grad": their value}.
    """
    if signature is not None:
        if signature not in methods:
            raise UsageError(f"--signature {signature}: the methods are {', '.join(methods)}")
        return [signature]
    given = [option for option, value in for_one.items() if value]
    if given and len(methods) > 1:
        raise UsageError(f"{', '.join(given)} is for one of {', '.join(methods)}: name it with --signature")
    return methods


def compare_pairs(
    pairs: Mapping[str, tuple[Pair, InputPlan]],
    *,
    rtol: Allowed = None,
    atol: Allowed = None,
    near: float | None = None,
    wanted: Wanted | None = None,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Compare each pair, see `compare_pair`; of several pairs, whose outputs get their names, only the verdict."""
    found = {
        name: compare_pair(pair, plan, rtol=rtol, atol=atol, near=near, wanted=wanted, progress=progress)
        for name, (pair, plan) in pairs.items()
    }
    if len(found) == 1:
        return next(iter(found.values()))
    return Comparison(joined({name: one.verdict for name, one in found.items()}))
