"""Several methods of a PyTorch module → one SavedModel with a signature for each, stage by stage."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from translate.errors import CannotTranslateError, Problem, UsageError
from translate.graphs import to_onnx
from translate.provenance import comparison_options, provenance, write_provenance
from translate.publish import publish, staging
from translate.routes.constants import record_constants
from translate.routes.destination import default_output, serving_version
from translate.routes.formats import count_weights
from translate.routes.result import NotEqualError, Result, Stages, size_on_disk, source_label
from translate.verify.joined import joined, prefixed

if TYPE_CHECKING:
    import onnx_ir as ir

    from translate.comparison import Pair
    from translate.models.base import Spec
    from translate.serving import Serving
    from translate.verify.cases import InputPlan


def methods_to_tensorflow(
    source: object,
    methods: Sequence[str],
    output: str | Path | None = None,
    *,
    inputs: Sequence[str | Spec] = (),
    weights: str | Path | None = None,
    verify: bool = True,
    force: bool = False,
    serving: Serving | None = None,
    plan: InputPlan | None = None,
    progress: Callable[[str], None] | None = None,
) -> Result:
    """Translate methods of a PyTorch module to one SavedModel, each to a signature of its name, and prove each.

    `source`, `methods`, `inputs` and `weights` are those of `open_methods`, all else is as in `torch2tf`. In the
    result, inputs and outputs are called `method.name`. A weight that several methods read is one variable. `serving`
    has neither configuration nor labels, which are for one signature.
    """
    if not methods or len(set(methods)) < len(methods):
        raise UsageError(f"methods are named once each: {', '.join(methods) or 'there are none'}")
    if serving is not None and (serving.config or serving.labels is not None):
        raise UsageError("--serving-config and --labels are for a model with one signature, not for --method")
    label = source_label(source)
    destination = Path(default_output(source) if output is None else output)
    if serving is not None:
        destination = serving_version(serving, output, force=force)
    stage = Stages(progress)
    notes: list[str] = []
    with staging(destination, force=force and serving is None) as built:
        with stage("open"):
            from translate.models.methods import open_methods

            models = open_methods(source, methods, inputs, weights=weights, notes=notes)
        with stage("export"):
            exported = {name: to_onnx(model, notes) for name, model in models.items()}
            originals = {name: graph.clone() for name, graph in exported.items()}
        transposes = _lower(exported, built, stage, notes)
        del exported
        with stage("reload"):
            from translate.models.saved_model import SavedModel

            gc.collect()
            first = SavedModel(built, methods[0])
            targets = {name: SavedModel(built, name, loaded=first.loaded) for name in methods}
        from translate.comparison import Pair, compare_pair
        from translate.signatures import plan_for

        compared: dict[str, tuple[Pair, InputPlan, ir.Model]] = {}
        for name, model in models.items():
            pair = Pair(model, targets[name], {spec.name: spec.name for spec in model.inputs}, notes)
            compared[name] = pair, plan_for(model, plan), originals[name]
        verdict = None
        if verify:
            with stage("verify"):
                verdict = joined(
                    {
                        name: compare_pair(pair, own, graph=graph).verdict
                        for name, (pair, own, graph) in compared.items()
                    }
                )
        proven = verdict is None or verdict.passed
        trainable, frozen = count_weights(targets[methods[0]].loaded)
        if proven:
            with stage("publish"):
                record_constants(built, originals.values())
                options = comparison_options(inputs, plan, None, None, weights=weights, methods=methods)
                write_provenance(built, provenance(source, models, "native", verdict, options, weights))
                if serving is None:
                    publish(built, destination)
                else:
                    from translate.serving.release import release_methods

                    destination = release_methods(serving, built, compared, notes)
        size = size_on_disk(destination if proven else built)
    result = Result(
        command="torch2tf",
        format="saved_model",
        source=label,
        source_kind=models[methods[0]].kind,
        engine="native",
        output=destination if proven else None,
        bytes=size,
        inputs=tuple(spec for name in methods for spec in prefixed(name, models[name].inputs)),
        outputs=tuple(spec for name in methods for spec in prefixed(name, models[name].outputs)),
        trainable=trainable,
        frozen=frozen,
        transposes=transposes,
        notes=tuple(dict.fromkeys(notes)),
        verdict=verdict,
        seconds=stage.seconds,
    )
    if not proven:
        raise NotEqualError(result)
    return result


def _lower(graphs: Mapping[str, ir.Model], built: Path, stage: Stages, notes: list[str]) -> int:
    """Write the graphs as one SavedModel to `built`; return the number of transposes left."""
    from translate.converters import onnx_to_tf, passes

    transposes = 0
    problems: list[Problem] = []
    with stage("passes"):
        for graph in graphs.values():
            report = passes.prepare(graph)
            transposes += report.transposes
            notes.extend(report.notes)
            problems += onnx_to_tf.preflight(graph)
    if problems:
        raise CannotTranslateError("TensorFlow", problems)
    with stage("lower"):
        onnx_to_tf.save_methods(graphs, built)
    return transposes
