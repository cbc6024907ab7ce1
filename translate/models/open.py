"""Open a model: find out by its content what a file, folder, name or object is, and make a `Model` of it."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from translate.errors import OpenError, UntrustedError, UsageError
from translate.models import archive
from translate.models.base import Model, Spec
from translate.models.device import Placement
from translate.models.inputs import load_sample, name_sample, open_dims, parse_input, spec_of

if TYPE_CHECKING:
    from torch import nn

KINDS = (
    "an ExportedProgram (.pt2), TorchScript (.pt), ONNX (.onnx), Keras (.keras, .h5), TFLite (.tflite), a frozen "
    "graph (.pb), a SavedModel folder, a Hugging Face folder, package.module:factory or path/file.py:factory"
)


def open_model(
    source: object,
    *,
    inputs: Sequence[str | Spec] = (),
    expected: Sequence[str | Spec] = (),
    sample: str | Path | None = None,
    weights: str | Path | None = None,
    signature: str = "serving_default",
    graph_inputs: Sequence[str] = (),
    graph_outputs: Sequence[str] = (),
    unsafe_load: bool = False,
    custom_objects: str | Path | None = None,
    notes: list[str] | None = None,
    placement: Placement | None = None,
) -> Model:
    """Open a model from a path, a `module:factory` name, or a live object.

    `source` is a path or one of: nn.Module, ExportedProgram, ScriptModule, onnx_ir.Model, keras.Model, a
    tf.function, a concrete function, a tf.Module with one tf.function that has an input signature, Model. `inputs`
    are `--input` options or specs, `expected` likewise: those of a model that it is to be compared with, for a PyTorch
    module that does not say its own. `sample` is a file of example inputs, `weights` a state_dict, or the weights of a
    Keras model (.weights.h5, .h5, .keras), for a factory or class,
    `signature` which function of a SavedModel to run; `graph_inputs` and `graph_outputs` are the tensors (`x`, `x:0`)
    that a frozen graph is cut out by, see `tf_graph.GraphModel`; `custom_objects` a .py file with the layers and
    functions that Keras files name. Pickled code is only loaded with
    `unsafe_load`. What the user should know but is no error is appended to `notes`. `placement` says where it is to
    run, and a live module is moved there; None leaves that to the framework. What is a Model already stays where it is.
    Raises `OpenError`, `UntrustedError` for files that would run code, `UsageError` for options that do not fit.
    """
    notes = notes if notes is not None else []
    specs, others, graph = _specs(inputs), _specs(expected), (graph_inputs, graph_outputs)
    custom = None if custom_objects is None else Path(custom_objects)
    options = _Options(specs, others, sample, weights, signature, graph, unsafe_load, custom, notes, placement)
    if (graph_inputs or graph_outputs) and not is_frozen_graph(source):
        raise UsageError(f"--inputs and --outputs are for frozen graphs (.pb), which {source} is not")
    if isinstance(source, Model):
        return source
    if isinstance(source, str | Path):
        return _open_path(str(source), options)
    return _open_object(source, options)


def is_frozen_graph(source: object) -> bool:
    """Say whether `source` is the file of a frozen TensorFlow graph; what cannot be read is none."""
    if not isinstance(source, str | Path) or not Path(source).is_file():
        return False
    try:
        return archive.identify(Path(source)) == "graph"
    except OpenError:
        return False


def _specs(inputs: Sequence[str | Spec]) -> list[Spec]:
    return [parse_input(item) if isinstance(item, str) else item for item in inputs]


class _Options:
    """The options of `open_model`, passed on together."""

    def __init__(
        self,
        inputs: Sequence[Spec],
        expected: Sequence[Spec],
        sample: str | Path | None,
        weights: str | Path | None,
        signature: str,
        graph: tuple[Sequence[str], Sequence[str]],
        unsafe_load: bool,
        custom_objects: Path | None,
        notes: list[str],
        placement: Placement | None,
    ) -> None:
        self.inputs = inputs
        self.expected = expected
        self.sample = sample
        self.weights = Path(weights) if weights is not None else None
        self.signature = signature
        self.graph = graph
        self.unsafe_load = unsafe_load
        self.custom_objects = custom_objects
        self.notes = notes
        self.placement = placement


def _open_object(source: object, options: _Options) -> Model:
    """Open a live object; its framework is imported already, so look only at what is loaded."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(source, torch.nn.Module):
        return _open_module(source, options)
    if torch is not None and isinstance(source, torch.export.ExportedProgram):
        return _open_program(source, options)
    onnx_ir = sys.modules.get("onnx_ir")
    if onnx_ir is not None and isinstance(source, onnx_ir.Model):
        from translate.models.onnx_model import OnnxModel

        onnx = OnnxModel(source, notes=options.notes, placement=options.placement)
        onnx.declare(options.inputs)
        return onnx
    if _is_keras(source):
        return _open_keras(source, options)
    if _is_tf_function(source):
        return _open_tf_function(source, options)
    raise OpenError(f"a {type(source).__name__} is no model; expected {KINDS}, or a live model")


def _open_path(source: str, options: _Options) -> Model:
    path = Path(source)
    if not path.exists():
        # A colon in a name that is no path separates a module or file from its factory.
        place, colon, attribute = source.rpartition(":")
        if colon and attribute.isidentifier():
            return _open_object(make_object(place, attribute), options)
        raise OpenError(f"no such file or folder: {source}; expected {KINDS}")
    if options.weights is not None:
        raise UsageError(f"--weights goes with package.module:factory or path/file.py:factory; {source} has its own")
    return _open_folder(path, options) if path.is_dir() else _open_file(path, options)


def _open_folder(path: Path, options: _Options) -> Model:
    if (path / "saved_model.pb").is_file():
        from translate.models.saved_model import SavedModel

        return SavedModel(path, options.signature, options.placement)
    if (path / "config.json").is_file() and any(path.glob("*.weights.*")):
        # What model.save(..., zipped=False) writes.
        return _open_keras_file(path, options)
    if (path / "config.json").is_file():
        return _open_module(load_hugging_face(path), options)
    if (path / "model.onnx").is_file():
        # What `save_onnx` writes where the weights do not fit into one file.
        return _open_file(path / "model.onnx", options)
    raise OpenError(f"{path} is neither a SavedModel (saved_model.pb) nor a Hugging Face folder (config.json)")


def _open_file(path: Path, options: _Options) -> Model:
    content = archive.identify(path)
    if content == "onnx":
        from translate.models.onnx_model import open_onnx

        onnx = open_onnx(path, options.notes, options.placement)
        onnx.declare(options.inputs)
        return onnx
    if content in ("keras", "hdf5"):
        return _open_keras_file(path, options)
    if content == "tflite":
        from translate.models.tflite_model import TFLiteModel

        return TFLiteModel(path, options.signature, options.inputs, options.placement)
    if content == "graph":
        from translate.models.tf_graph import GraphModel, read_graph_def

        return GraphModel(read_graph_def(path), *options.graph, options.inputs, options.placement)
    from translate.models import torch_files

    if content == "pt2":
        # torch.export.load unpickles whatever the archive holds.
        if foreign := archive.foreign_globals(path):
            _check_trust(path, options, "an ExportedProgram with pickled objects", foreign)
        return _open_program(torch_files.load_program(path), options)
    if content == "torchscript":
        return _open_module(torch_files.load_script(path), options)
    return _open_pickle(path, options)


def _open_pickle(path: Path, options: _Options) -> Model:
    """Open what torch.save wrote: a module if that is trusted; a state_dict is explained."""
    from translate.models import torch_files

    try:
        value = torch_files.load_weights_only(path)
    except UntrustedError:
        _check_trust(path, options, "a pickled Python object, not a format for exchange", archive.foreign_globals(path))
        value = torch_files.load_pickle(path)
    torch = sys.modules["torch"]
    if isinstance(value, torch.nn.Module):
        return _open_module(value, options)
    raise OpenError(torch_files.explain_no_model(path, value))


def _check_trust(path: Path, options: _Options, what: str, code: Sequence[str]) -> None:
    """Raise `UntrustedError` unless --unsafe-load allows the file to run the code that it names."""
    if options.unsafe_load:
        options.notes.append(f"{path.name} is {what}; it was loaded because --unsafe-load allows it")
        return
    few = ", ".join(code[:4]) + (f" and {len(code) - 4} more" if len(code) > 4 else "")
    raise UntrustedError(
        f"{path} is {what}: loading it runs code that the file names ({few}).\n"
        "  If you trust where it comes from, add --unsafe-load. Better: save it with torch.export.save, or save\n"
        "  its state_dict() and name its class: package.module:factory --weights FILE"
    )


def _open_module(module: nn.Module, options: _Options) -> Model:
    from translate.models import torch_arguments, torch_device, torch_files, torch_model

    if options.weights is not None:
        torch_files.load_weights(module, options.weights, options.notes)
    arguments = torch_arguments.forward_arguments(module)
    known = _sample_specs(options, arguments) or _declared_specs(module)
    inputs = options.inputs or ([] if known else _expected_specs(options, arguments))
    model = torch_model.from_module(module, inputs, known=known, notes=options.notes)
    if options.placement is not None:
        model.device = torch_device.prepare(options.placement)
        module.to(model.device)
    return model


def _expected_specs(options: _Options, arguments: Sequence[str]) -> list[Spec]:
    """Return the inputs of the other model; where there is only one, its name is of no account."""
    if not options.expected:
        return []
    options.notes.append("the target does not say what it takes: its inputs are taken to be like the source's")
    specs = list(open_dims(options.expected))
    return [replace(specs[0], name="")] if len(specs) == 1 and specs[0].name not in arguments else specs


def _declared_specs(module: nn.Module) -> list[Spec]:
    """Return the inputs that a translated module says itself, as `--input` options in `input_specs`."""
    declared = getattr(module, "input_specs", ())
    is_ours = isinstance(declared, list | tuple) and all(isinstance(text, str) for text in declared)
    return [parse_input(text) for text in declared] if is_ours else []


def _open_program(program: Any, options: _Options) -> Model:
    from translate.models import torch_device, torch_programs

    if options.placement is None:
        return torch_programs.from_program(program, options.inputs)
    device = torch_device.prepare(options.placement)
    model = torch_programs.from_program(torch_device.move_program(program, device), options.inputs)
    model.device = device
    return model


def _is_keras(value: object) -> bool:
    """Say whether `value` is a model of Keras 3 or of tf_keras, without importing either."""
    classes = type(value).__mro__
    return any(base.__name__ == "Model" and base.__module__.split(".")[0] in ("keras", "tf_keras") for base in classes)


def _is_tf_function(value: object) -> bool:
    """Say whether `value` is a function of TensorFlow or a `tf.Module`, without importing TensorFlow."""
    if "tensorflow" not in sys.modules:
        return False
    from translate.models.traced import is_function

    return is_function(value)


def _open_tf_function(source: object, options: _Options) -> Model:
    from translate.models.traced import FunctionModel

    if options.weights is not None:
        raise UsageError("--weights is for PyTorch's state_dicts; load a tf.Module's weights where it is made")
    return FunctionModel(source, options.inputs, options.placement)


def _open_keras(model: Any, options: _Options) -> Model:
    from translate.models.keras_model import KerasModel
    from translate.models.keras_weights import load_keras_weights

    # A subclassed model has no variables before it is traced.
    opened = KerasModel(model, options.inputs, options.placement)
    if options.weights is not None:
        load_keras_weights(model, options.weights)
    return opened


def _open_keras_file(path: Path, options: _Options) -> Model:
    from translate.models import tensorflow_device
    from translate.models.keras_files import load_keras

    with tensorflow_device.Device(options.placement).scope():
        model = load_keras(
            path,
            unsafe_load=options.unsafe_load,
            notes=options.notes,
            custom_objects=_custom_objects(options.custom_objects),
        )
    return _open_keras(model, options)


def _custom_objects(path: Path | None) -> dict[str, Any]:
    """Return the classes and functions of a file of the user's, by their names; those it registers, Keras knows."""
    if path is None:
        return {}
    module = _import_file(path)
    own = {name: value for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__}
    return {name: value for name, value in own.items() if callable(value) and not name.startswith("_")}


def _sample_specs(options: _Options, names: Sequence[str]) -> list[Spec]:
    if options.sample is None:
        return []
    sample = name_sample(load_sample(options.sample), names)
    return [spec_of(name, array) for name, array in sample.items()]


def make_object(place: str, attribute: str) -> object:
    """Import `place`, a module's name or a .py file, and make the model that its `attribute` is or returns."""
    module = _import_file(Path(place)) if place.endswith(".py") else _import_name(place)
    if not hasattr(module, attribute):
        public = [name for name in vars(module) if not name.startswith("_")]
        raise OpenError(f"{place} has no {attribute!r}; it has {', '.join(public[:10])}")
    value = getattr(module, attribute)
    if _is_model(value):
        return value
    if not callable(value):
        raise OpenError(f"{place}:{attribute} is a {type(value).__name__}, not a module, class or factory")
    try:
        made = value()
    except Exception as error:
        raise OpenError(f"{place}:{attribute}() failed: {type(error).__name__}: {error}") from error
    if not _is_model(made):
        raise OpenError(f"{place}:{attribute}() returned a {type(made).__name__}, not a model")
    return made


def _is_model(value: object) -> bool:
    # A class of either is no model yet, though it has the same bases as one.
    torch = sys.modules.get("torch")
    return (torch is not None and isinstance(value, torch.nn.Module)) or _is_keras(value) or _is_tf_function(value)


def _import_name(name: str) -> ModuleType:
    # As `python -m` does: the working directory counts.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise OpenError(f"importing {name} failed: {type(error).__name__}: {error}") from error


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise OpenError(f"no such file: {path}")
    name = path.stem
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise OpenError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise OpenError(f"importing {path} failed: {type(error).__name__}: {error}") from error
    return module


def load_hugging_face(path: Path) -> nn.Module:
    """Load a folder of transformers, with the class that its config names."""
    try:
        import transformers
    except ImportError as error:
        raise OpenError(f"{path} is a Hugging Face model; opening it needs: pip install transformers") from error
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise OpenError(f"{path}/config.json is no JSON: {error}") from error
    names = config.get("architectures") or ["AutoModel"]
    bars = transformers.utils.logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        kind = getattr(transformers, names[0])
        model: nn.Module = kind.from_pretrained(path, local_files_only=True)
    except AttributeError as error:
        version = transformers.__version__
        raise OpenError(f"{path} is a {names[0]}, which transformers {version} does not have") from error
    except (ImportError, OSError, ValueError, RuntimeError) as error:
        cause: BaseException = error
        # transformers only says that an import failed; what did is the last in the chain.
        while isinstance(error, ImportError) and cause.__cause__ is not None:
            cause = cause.__cause__
        raise OpenError(f"{path} cannot be loaded by transformers: {cause}") from error
    finally:
        if shown:
            bars.enable_progress_bar()
    return model
