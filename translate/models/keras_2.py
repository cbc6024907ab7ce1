"""Whole models that Keras 2 wrote to `.h5` and `.keras`, as models of Keras 3.

Keras 3 reads some of these files itself, but refuses what it has renamed or dropped since, and takes `hard_sigmoid`,
which Keras 2's recurrent layers used by default, for another function. Here the architecture is built anew, with a
layer of Keras 3 for each one of the file; an option that Keras 3 does not have is only passed over where it has no
effect. Nothing that the file names is imported. How the weights will be drawn, regularised and constrained in a
training by Keras is not kept.
"""

from __future__ import annotations

import inspect
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from translate.errors import UnsupportedError
from translate.models.keras_2_functions import operation
from translate.models.keras_weights import load_keras_weights

_ANY = object()
# Options that Keras 3 does not have, and the values that they may have without an effect.
_WITHOUT_EFFECT: Mapping[str, tuple[Any, ...]] = {
    "adjustment": (None,),
    "autocast": (True,),
    "batch_input_shape": (_ANY,),
    "experimental_autocast": (True,),
    "fused": (_ANY,),
    "groups": (1,),
    "implementation": (_ANY,),
    "input_dtype": (_ANY,),
    "input_length": (_ANY,),
    "key_shape": (_ANY,),
    "query_shape": (_ANY,),
    "ragged": (False,),
    "renorm": (False,),
    "renorm_clipping": (None,),
    "renorm_momentum": (_ANY,),
    "robust_masking": (False,),
    "softmax_robust_masking": (False,),
    "sparse": (False,),
    "time_major": (False,),
    "unroll": (_ANY,),
    "value_shape": (_ANY,),
    "vectorized": (_ANY,),
    "virtual_batch_size": (None,),
}
# Of training by Keras.
_TRAINING = ("_initializer", "_regularizer", "_constraint")
# Stands for a layer where an argument is a value.
_CONSTANT = "_CONSTANT_VALUE"
_MODELS = ("Functional", "Model", "Sequential")
# How Keras 2 wrote a function of Python, besides the function itself.
_OF_FUNCTIONS = ("function_type", "module", "output_shape_type", "output_shape_module")
# What Keras 2 called weights that have another name now.
_OLD = {"kernel": "depthwise_kernel"}
# What versions before an option was written meant by leaving it out.
_BEFORE: Mapping[str, Mapping[str, Any]] = {
    "GRU": {"reset_after": False},
    "GRUCell": {"reset_after": False},
}


@keras.saving.register_keras_serializable("translate")  # type: ignore[untyped-decorator]
def hard_sigmoid(x: Any) -> Any:
    """Return Keras 2's hard sigmoid: 0.2 * x + 0.5, cut off at 0 and 1."""
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def read_keras_2(path: Path, config: Mapping[str, Any], custom_objects: Mapping[str, Any]) -> keras.Model:
    """Return the model that is in an `.h5` or `.keras` file of Keras 2, which has the architecture `config`.

    `custom_objects` are classes and functions by their names. Raises `UnsupportedError` for what Keras 3 has no equal
    of, and where weights and architecture do not fit.
    """
    builder = _Builder(custom_objects)
    try:
        model = builder.model(config)
        if zipfile.is_zipfile(path):
            builder.check_order()
            _load_from_archive(path, model)
        else:
            _load_from_groups(path, builder.layers[model])
    except UnsupportedError:
        raise
    except Exception as error:
        # Whatever the file says is given to constructors and calls of Keras, which raise anything.
        raise UnsupportedError(f"{type(error).__name__}: {error}") from error
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
    return model


@dataclass(frozen=True)
class _Reference:
    """A tensor of the architecture: which output of which call of which layer, and what else the call was given."""

    layer: str
    call: int
    output: int
    kwargs: Mapping[str, Any]


class _Builder:
    """Builds models of their architectures."""

    def __init__(self, custom_objects: Mapping[str, Any]) -> None:
        self._custom = custom_objects
        # Of each model, by their names in the file.
        self.layers: dict[Any, dict[str, Any]] = {}

    def check_order(self) -> None:
        """Raise `UnsupportedError` where Keras 3 orders the layers of a model in another way than the file does.

        In an archive, weights are found by the place of their layer among those of its class.
        """
        for model, made in self.layers.items():
            written = [layer for layer in made.values() if isinstance(layer, keras.Layer) and layer.weights]
            if [id(layer) for layer in model.layers if layer.weights] != [id(layer) for layer in written]:
                raise UnsupportedError(f"Keras 3 has the layers of {model.name} in another order")

    def model(self, entry: Mapping[str, Any]) -> Any:
        """Return the model, or model in a model, that an entry describes."""
        config = entry["config"]
        # Before Keras 2.2.3 a Sequential was the list of its layers.
        config = {"layers": config} if isinstance(config, list) else config
        kind = entry["class_name"]
        if kind not in _MODELS:
            raise UnsupportedError(f"a model of the class {kind}")
        made: dict[str, Any] = {}
        model = self._sequential(config, made) if kind == "Sequential" else self._functional(config, made)
        model.trainable = config.get("trainable", True)
        self.layers[model] = made
        return model

    def _sequential(self, config: Mapping[str, Any], made: dict[str, Any]) -> Any:
        layers: list[Any] = []
        for entry in config["layers"]:
            options = entry["config"]
            shape = options.get("batch_input_shape") if isinstance(options, dict) else None
            if not layers and shape is not None and entry["class_name"] != "InputLayer":
                layers.append(keras.Input(batch_shape=shape, dtype=_dtype(options.get("dtype", "float32"))))
            layers.append(self._layer(entry))
            made[options.get("name", "") if isinstance(options, dict) else ""] = layers[-1]
        model = keras.Sequential(layers, name=_name(config.get("name")))
        shape = config.get("build_input_shape")
        if not model.built and shape is not None:
            model.build(shape)
        return model

    def _functional(self, config: Mapping[str, Any], made: dict[str, Any]) -> Any:
        results: dict[str, list[list[Any]]] = {}
        waiting: dict[str, list[Any]] = {}
        first = _first_calls(config)
        for entry in config["layers"]:
            name = entry["name"]
            results[name] = [[]] * first.get(name, 0)
            if entry["class_name"] == "InputLayer":
                tensor = self._input(entry["config"])
                results[name].append([tensor])
                made[name] = tensor._keras_history.operation
            else:
                made[name] = self._layer(entry)
                waiting[name] = list(entry["inbound_nodes"])

        def result(reference: _Reference) -> Any:
            return results[reference.layer][reference.call][reference.output]

        while any(waiting.values()):
            before = sum(map(len, waiting.values()))
            for name, calls in waiting.items():
                while calls and all(len(results[one.layer]) > one.call for one in _references_in(calls[0])):
                    called = keras.tree.flatten(_call(made[name], *_arguments(calls.pop(0), result)))
                    if not isinstance(made[name], keras.Layer):
                        # An operation: Keras 3 numbers it, and the number may be the name of a layer here.
                        called[0]._keras_history.operation.name = _name(name)
                    results[name].append(called)
            if sum(map(len, waiting.values())) == before:
                raise UnsupportedError("its layers call each other in a circle")
        ends = (_unwrapped(_packed(config[key], result)) for key in ("input_layers", "output_layers"))
        return keras.Model(*ends, name=_name(config.get("name")))

    def _input(self, config: Mapping[str, Any]) -> Any:
        if config.get("sparse") or config.get("ragged"):
            raise UnsupportedError(f"the input {config.get('name')} is sparse or ragged")
        shape = config.get("batch_input_shape", config.get("batch_shape"))
        return keras.Input(
            batch_shape=shape, dtype=_dtype(config.get("dtype", "float32")), name=_name(config.get("name"))
        )

    def _layer(self, entry: Mapping[str, Any]) -> Any:
        """Return the layer, not yet built, that an entry describes."""
        kind, config = entry["class_name"], entry["config"]
        if kind in _MODELS:
            return self.model(entry)
        if kind == "InputLayer":
            return self._input(config)._keras_history.operation
        if kind in ("TFOpLambda", "SlicingOpLambda"):
            return operation(str(config["function"]), str(config.get("name")))
        own = self._own(kind)
        if own is not None:
            return own.from_config(config)
        known = getattr(keras.layers, kind, None)
        if known is None or not (isinstance(known, type) and issubclass(known, keras.Layer)):
            raise UnsupportedError(f"Keras 3 has no layer {kind}")
        if known is keras.layers.Lambda:
            return _lambda(config)
        return known(**self._options(known, config))

    def _options(self, kind: type[Any], config: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the constructor of a layer takes of its entry."""
        accepted = _accepted(kind)
        options: dict[str, Any] = {
            key: value for key, value in _BEFORE.get(kind.__name__, {}).items() if key not in config
        }
        for key, value in config.items():
            if key.endswith(_TRAINING):
                continue
            if kind is keras.layers.LeakyReLU and key == "alpha":
                options["negative_slope"] = value
            elif key == "name":
                options[key] = _name(value)
            elif key == "dtype":
                options[key] = _dtype(value)
            elif key in accepted:
                options[key] = self._value(key, value)
            elif not any(allowed is _ANY or allowed == value for allowed in _WITHOUT_EFFECT.get(key, ())):
                raise UnsupportedError(f"the {kind.__name__} of Keras 3 has no option {key} ({value!r})")
        if kind is keras.layers.BatchNormalization and isinstance(options.get("axis"), list):
            (options["axis"],) = options["axis"]
        return options

    def _value(self, key: str, value: Any) -> Any:
        """Return the value of an option: a function, a layer, or what is written."""
        if key.endswith("activation"):
            return self._function(value)
        if key in ("layer", "backward_layer", "cell") and isinstance(value, dict):
            return self._layer(value)
        if key in ("cells", "layers") and isinstance(value, list):
            return [self._layer(one) for one in value]
        if isinstance(value, dict) and "class_name" in value:
            raise UnsupportedError(f"{key} is a {value['class_name']}")
        return value

    def _own(self, name: str) -> Any:
        """Return the user's own class or function of a name, which may be `package>name`."""
        registered = keras.saving.get_registered_object(name)
        return registered or self._custom.get(name.rpartition(">")[2])

    def _function(self, value: Any) -> Any:
        if isinstance(value, dict) and value.get("class_name") == "function":
            value = value["config"]
        elif isinstance(value, dict):
            return self._layer(value)
        if value is None or callable(value):
            return value
        if value == "hard_sigmoid":
            return hard_sigmoid
        own = self._own(str(value))
        if own is not None:
            return own
        function = getattr(keras.activations, str(value), None) or keras.activations.get(
            {"swish": "silu"}.get(value, "")
        )
        if not callable(function):
            raise UnsupportedError(f"Keras 3 has no activation {value}")
        return function


def _lambda(config: Mapping[str, Any]) -> Any:
    """Return the layer of a function whose code is in the file, which is trusted by now."""
    options = {key: value for key, value in config.items() if key not in _OF_FUNCTIONS}
    if config.get("function_type") != "lambda" or config.get("output_shape_type", "raw") != "raw":
        raise UnsupportedError(f"{config.get('name')} calls a function that is not in the file")
    code = dict(zip(("code", "defaults", "closure"), config["function"], strict=True))
    options["function"] = {"class_name": "__lambda__", "config": code}
    options |= {"name": _name(config.get("name")), "dtype": _dtype(config.get("dtype", "float32"))}
    return keras.layers.Lambda.from_config(options, safe_mode=False)


def _first_calls(config: Mapping[str, Any]) -> dict[str, int]:
    """Return the number of the first call of each layer: of a model in the model, 0 is the graph of its own."""
    nodes = [node for entry in config["layers"] for node in entry["inbound_nodes"]]
    first: dict[str, int] = {}
    for one in _references_in([*nodes, config["input_layers"], config["output_layers"]]):
        first[one.layer] = min(one.call, first.get(one.layer, one.call))
    return first


def _accepted(kind: type[Any]) -> set[str]:
    """Return the names of the options of a layer."""
    accepted = {"trainable"}
    for base in kind.__mro__:
        if base is keras.Layer:
            break
        constructor = vars(base).get("__init__")
        if constructor is None:
            continue
        parameters = inspect.signature(constructor).parameters.values()
        accepted |= {one.name for one in parameters if one.kind is not inspect.Parameter.VAR_KEYWORD}
        if not any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters):
            # Its bases are called with what it chooses.
            break
    return accepted - {"self"}


def _name(name: Any) -> str | None:
    """Return a name that Keras 3 takes."""
    return None if name is None else str(name).replace("/", "_")


def _dtype(dtype: Any) -> Any:
    """Return the name of a dtype or policy."""
    return dtype["config"]["name"] if isinstance(dtype, dict) else dtype


def _is_reference(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and isinstance(value[1], int)
        and not isinstance(value[1], bool)
    )


def _reference(value: Sequence[Any]) -> _Reference:
    return _Reference(value[0], value[1], value[2], value[3] if len(value) == 4 else {})


def _references_in(node: Any) -> Iterator[_Reference]:
    """Yield every tensor that a call reads."""
    for one in _leaves(node):
        reference = _reference(one)
        if reference.layer != _CONSTANT:
            yield reference
        yield from _references_in(dict(reference.kwargs))


def _packed(node: Any, tensor: Any) -> Any:
    """Return a structure of references as one of tensors, with all else as it is."""
    if _is_reference(node):
        return node[2] if node[0] == _CONSTANT else tensor(_reference(node))
    if isinstance(node, dict):
        return {key: _packed(value, tensor) for key, value in node.items()}
    return [_packed(value, tensor) for value in node] if isinstance(node, list) else node


def _arguments(node: Any, tensor: Any) -> tuple[Any, dict[str, Any]]:
    """Return what a call is given: its first argument, and the others by their names."""
    written = next((dict(one[3]) for one in _leaves(node) if len(one) == 4), {})
    return _packed(node, tensor), {key: _packed(value, tensor) for key, value in written.items()}


def _leaves(node: Any) -> Iterator[Any]:
    if _is_reference(node):
        yield node
    else:
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            yield from _leaves(child)


def _unwrapped(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _call(layer: Any, given: Any, kwargs: dict[str, Any]) -> Any:
    """Call a layer as Keras 3 wants it called."""
    if not isinstance(layer, keras.Layer):
        return layer(given, **kwargs)
    given = _unwrapped(given)
    kwargs = {key: value for key, value in kwargs.items() if value is not None}
    if isinstance(layer, keras.layers.RNN | keras.layers.Bidirectional) and isinstance(given, list):
        given, *kwargs["initial_state"] = given
    return layer(given, **kwargs)


def _load_from_archive(path: Path, model: Any) -> None:
    """Load the weights of a `.keras` file, which lie as Keras 3 has them."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(path) as archive:
            weights = archive.extract("model.weights.h5", folder)
        load_keras_weights(model, Path(weights))


def _load_from_groups(path: Path, layers: Mapping[str, Any]) -> None:
    """Put into each layer what the file has under its name."""
    import h5py

    with h5py.File(path, "r") as file:
        groups = file["model_weights"]
        stored = {name: groups[name] for name in _texts(groups, "layer_names")}
        arrays = {
            name: [(one, np.asarray(group[one])) for one in _texts(group, "weight_names")]
            for name, group in stored.items()
        }
    for name, layer in layers.items():
        own = [*layer.trainable_weights, *layer.non_trainable_weights] if isinstance(layer, keras.Layer) else []
        given = arrays.pop(name, [])
        if len(own) != len(given):
            raise UnsupportedError(f"{name} has {len(own)} weights, of which the file has {len(given)}")
        for variable, (known, array) in zip(own, given, strict=True):
            if tuple(variable.shape) != array.shape or _last(known) not in (variable.name, _OLD.get(variable.name)):
                wanted = f"{variable.name} {list(variable.shape)}"
                raise UnsupportedError(f"{name} has a weight {wanted}, where the file has {known} {list(array.shape)}")
            variable.assign(array)
    left = [name for name, given in arrays.items() if given]
    if left:
        raise UnsupportedError(f"the file has weights of layers that its model does not have: {', '.join(left[:4])}")


def _last(name: str) -> str:
    """Return what a weight is called in its layer: `block/conv/kernel:0` → `kernel`."""
    return name.rpartition("/")[2].partition(":")[0]


def _texts(group: Any, attribute: str) -> list[str]:
    """Return a list of texts; a long one is stored in several attributes."""
    if attribute in group.attrs:
        found = list(group.attrs[attribute])
    else:
        parts: list[Any] = []
        while f"{attribute}{len(parts)}" in group.attrs:
            parts.append(group.attrs[f"{attribute}{len(parts)}"])
        found = [text for part in parts for text in part]
    return [text.decode() if isinstance(text, bytes) else str(text) for text in found]
