"""What a model is fed: the `--input` option, samples from files, sizes of symbolic dimensions, example arrays."""

from __future__ import annotations

import ast
import itertools
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from translate.errors import OpenError, UsageError
from translate.models.base import Array, Dim, Spec
from translate.models.distributions import Distributions, draw

EXPECTED = "NAME:DIMS[:DTYPE], such as x:batch,3,224,224 or ids:batch,seq:int64"
# A bound of an input's values: the greatest integer that it may hold (a vocabulary's size minus one, say).
Bounds = Mapping[str, int]

DTYPES = (
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128", "bool"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)
# What `load_sample` reads.
ARRAY_FILES = (".npz", ".npy", ".pt", ".pth")
_DTYPE_ALIASES = {"float": "float32", "double": "float64", "half": "float16", "int": "int64", "long": "int64"}
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_DIM = re.compile(r"(\d+)|(?:[1-9]\d*\*)?[A-Za-z_]\w*(?:[+-]\d+)?")
_PRIMES = (7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97)
_OPERATIONS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


def parse_input(text: str) -> Spec:
    """Read one `--input` option, `NAME:DIMS[:DTYPE]`.

    A dimension is a number, a name (symbolic), or made of a name (`32*height`, `seq+1`). No dimensions at all
    (`n::int64`) make a scalar. The name may be left out (`batch,3,224,224`): the result's name is then empty, and
    `name_inputs` fills it in. Raises `UsageError`.
    """
    name, dims, dtype = _split(text.strip())
    if name and not re.fullmatch(r"[\w./-]+", name):
        raise UsageError(f"--input {text}: {name!r} is no name of an input; expected {EXPECTED}")
    dtype = _DTYPE_ALIASES.get(dtype, dtype)
    if dtype not in DTYPES:
        raise UsageError(f"--input {text}: unknown dtype {dtype!r}; expected one of {', '.join(DTYPES)}")
    shape = tuple(_parse_dim(dim.strip(), text) for dim in dims.split(",")) if dims else ()
    return Spec(name, dtype, shape)


def format_input(spec: Spec) -> str:
    """Return the `--input` option that `parse_input` reads as `spec`."""
    return f"{spec.name}:{','.join(str(dim) for dim in spec.shape or ())}:{spec.dtype}"


def _split(text: str) -> tuple[str, str, str]:
    """Take an `--input` apart into name, dimensions and dtype."""
    parts = text.split(":")
    if not text or len(parts) > 3:
        raise UsageError(f"--input {text!r} is not {EXPECTED}")
    if len(parts) == 3:
        return parts[0], parts[1], parts[2] or "float32"
    if len(parts) == 1:
        return "", text, "float32"
    # Two parts are NAME:DIMS or DIMS:DTYPE; only the second ends in the name of a dtype.
    if parts[1] in (*DTYPES, *_DTYPE_ALIASES):
        return "", parts[0], parts[1]
    return parts[0], parts[1], "float32"


def _parse_dim(dim: str, text: str) -> Dim:
    dim = dim.replace(" ", "")
    match = _DIM.fullmatch(dim)
    if match is None:
        raise UsageError(f"--input {text}: {dim!r} is no dimension; expected a number or a name, as in {EXPECTED}")
    number = match[1]
    return int(number) if number else dim


def name_inputs(specs: Sequence[Spec], names: Sequence[str], *, complete: bool = True) -> tuple[Spec, ...]:
    """Give the names in `names`, a function's arguments in order, to the specs that have none.

    A dotted or numbered name such as `state_0` or `batch_ids` is part of the nested argument `state` or `batch`.
    Raises `UsageError` when a spec names no argument of the function; with `complete=False` any name is taken.
    """
    unnamed = iter([name for name in names if not any(_belongs(spec.name, name) for spec in specs if spec.name)])
    named: list[Spec] = []
    for spec in specs:
        if not spec.name:
            name = next(unnamed, None)
            if name is None:
                raise UsageError(f"--input {spec}: more inputs than arguments; forward takes {', '.join(names)}")
            spec = replace(spec, name=name)
        elif complete and not any(_belongs(spec.name, name) for name in names):
            raise UsageError(f"--input {spec.name}: forward has no such argument; it takes {', '.join(names)}")
        if any(spec.name == other.name for other in named):
            raise UsageError(f"--input {spec.name} is given twice")
        named.append(spec)
    return tuple(named)


def _belongs(name: str, argument: str) -> bool:
    return name == argument or name.startswith((argument + "_", argument + "."))


def spec_of(name: str, array: Array) -> Spec:
    """Return the static spec of one sample array."""
    return Spec(name, array.dtype.name, tuple(array.shape))


def merge_specs(declared: Sequence[Spec], known: Sequence[Spec]) -> tuple[Spec, ...]:
    """Put the declared names and dimensions over those that a file or a sample knows, in the order of `known`.

    Raises `UsageError` where a declared input does not exist, or differs in dtype, rank or a fixed size.
    """
    if not known:
        return tuple(declared)
    names = [spec.name for spec in known]
    by_name = {spec.name: spec for spec in name_inputs(declared, names, complete=False)}
    for name in by_name:
        if name not in names:
            raise UsageError(f"--input {name}: the model has no such input; it has {', '.join(map(str, known))}")
    return tuple(_merge(by_name[spec.name], spec) if spec.name in by_name else spec for spec in known)


def _merge(declared: Spec, known: Spec) -> Spec:
    same_rank = known.shape is None or declared.shape is None or len(declared.shape) == len(known.shape)
    if declared.dtype != known.dtype or not same_rank:
        raise UsageError(f"--input {declared}: the model expects {known}")
    return declared


def load_sample(path: str | Path) -> dict[str, Array] | list[Array]:
    """Read example inputs from `.npz` (by name), `.npy` (one array) or `.pt` (tensors only, never code).

    Returns arrays by name where the file names them, else in the order of the model's inputs. Nested values in a
    `.pt` are named like nested inputs (`state_0`). Raises `OpenError`.
    """
    path = Path(path)
    if not path.is_file():
        raise OpenError(f"no such sample file: {path}")
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return dict(decode_array(name, arrays[name]) for name in arrays.files)
        if path.suffix == ".npy":
            return [np.load(path, allow_pickle=False)]
    except (ValueError, OSError, EOFError) as error:
        raise OpenError(f"{path} is no readable {path.suffix} sample: {error}") from error
    if path.suffix not in ARRAY_FILES:
        raise OpenError(f"{path}: a sample is a .npz, .npy or .pt file")
    from translate.models.torch_files import load_tensors

    return load_tensors(path)


def encode_array(name: str, array: Array) -> tuple[str, Array]:
    """Return the name and the array that a `.npz` keeps, whose format has no bfloat16, no float8 and no objects.

    The former become unsigned integers of the same bits, named `x:bfloat16`; objects, which are text, become str.
    """
    if array.dtype.kind == "O":
        return name, array.astype(str)
    if array.dtype.kind != "V":
        return name, array
    return f"{name}:{array.dtype.name}", array.view(f"u{array.dtype.itemsize}")


def decode_array(name: str, array: Array) -> tuple[str, Array]:
    """Return what `encode_array` was given."""
    import ml_dtypes

    stem, _, dtype = name.rpartition(":")
    if array.dtype.kind != "u" or not isinstance(getattr(ml_dtypes, dtype, None), type):
        return name, array
    return stem, array.view(numpy_dtype(dtype))


def name_sample(sample: Mapping[str, Array] | Sequence[Array], names: Sequence[str]) -> dict[str, Array]:
    """Return a sample by input name; arrays without names take `names` in order. Raises `UsageError`."""
    if isinstance(sample, Mapping):
        return dict(sample)
    if len(sample) > len(names):
        raise UsageError(f"the sample holds {len(sample)} arrays, the model takes {', '.join(names)}")
    return dict(zip(names, sample, strict=False))


def open_dims(specs: Sequence[Spec]) -> tuple[Spec, ...]:
    """Name the nameless open dimensions: `batch` for the first axis, `<input>_<axis>` for others."""
    return tuple(replace(spec, shape=_open_shape(spec)) for spec in specs)


def _open_shape(spec: Spec) -> tuple[Dim, ...] | None:
    if spec.shape is None:
        return None
    identifier = re.sub(r"\W", "_", spec.name)
    names = ["batch" if axis == 0 else f"{identifier}_{axis}" for axis in range(len(spec.shape))]
    return tuple(name if dim is None else dim for dim, name in zip(spec.shape, names, strict=True))


def symbols(specs: Sequence[Spec]) -> list[str]:
    """List the names of the symbolic dimensions of `specs` (see `open_dims`), in order of appearance."""
    dims = itertools.chain.from_iterable(spec.shape or () for spec in open_dims(specs))
    names = itertools.chain.from_iterable(_IDENTIFIER.findall(dim) for dim in dims if isinstance(dim, str))
    return list(dict.fromkeys(names))


def size_of(dim: Dim, sizes: Mapping[str, int]) -> int:
    """Evaluate a dimension, a number, a name or an expression such as `2*seq + 1` or `min(9, seq)`, at `sizes`.

    Raises `UsageError` when a name has no size.
    """
    if isinstance(dim, int):
        return dim
    if dim is None:
        raise UsageError("a nameless dimension has no size; name it with --input")
    try:
        return _evaluate(ast.parse(dim, mode="eval").body, sizes)
    except (KeyError, SyntaxError, ValueError) as error:
        raise UsageError(f"the dimension {dim!r} has no size: {error}") from error


def _evaluate(node: ast.expr, sizes: Mapping[str, int]) -> int:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.Name):
        return sizes[node.id]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "min":
        return min(_evaluate(argument, sizes) for argument in node.args)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        return _OPERATIONS[type(node.op)](_evaluate(node.left, sizes), _evaluate(node.right, sizes))
    raise ValueError(f"{ast.unparse(node)} is no integer expression")


def default_sizes(specs: Sequence[Spec], ranges: Mapping[str, tuple[int, int]] | None = None) -> list[dict[str, int]]:
    """Choose sizes for the symbolic dimensions: batch 2, 5 and 1, and two sizes for each other name.

    Within one choice all sizes differ from each other and from the fixed sizes where possible, so that a swapped
    axis cannot hide. `ranges` are the least and greatest size of a name. Without symbolic dimensions there is
    one, empty, choice.
    """
    specs = open_dims(specs)
    names = symbols(specs)
    if not names:
        return [{}]
    batches = {spec.shape[0] for spec in specs if spec.shape}
    batch = "batch" if "batch" in names else next((name for name in names if name in batches), None)
    wanted: Sequence[dict[str, int]] = [{batch: 2}, {batch: 5}, {batch: 1}] if batch else [{}, {}]
    return [_distinct_sizes(specs, names, first, skip, ranges or {}) for skip, first in enumerate(wanted)]


# Of fewer samples, sound makes no frame of a spectrogram.
_LONG = 1 << 14


def long_sizes(specs: Sequence[Spec]) -> list[dict[str, int]]:
    """Choose sizes for what runs on nothing short, such as sound, as `default_sizes` does.

    There are none where not exactly one size beside the batch is open: images of that size are too large.
    """
    batches = {spec.shape[0] for spec in open_dims(specs) if spec.shape}
    others = [name for name in symbols(specs) if name not in batches]
    if len(others) != 1:
        return []
    return [{**sizes, others[0]: _LONG + 1000 * place} for place, sizes in enumerate(default_sizes(specs))]


def _distinct_sizes(
    specs: Sequence[Spec],
    names: Sequence[str],
    wanted: Mapping[str, int],
    skip: int,
    ranges: Mapping[str, tuple[int, int]],
) -> dict[str, int]:
    """Give each name its wanted size, or else the first prime in its range that no other dimension has.

    The search starts `skip` primes later, so that two choices differ.
    """
    sizes: dict[str, int] = {}
    taken = {dim for spec in specs for dim in spec.shape or () if isinstance(dim, int)}
    for name in sorted(names, key=lambda name: name not in wanted):
        low, high = ranges.get(name, (1, 2**31))
        candidates = [wanted[name]] if name in wanted else []
        primes = _PRIMES[skip:] + _PRIMES[:skip]
        in_range = [size for size in (*candidates, *primes) if low <= size <= high]
        in_range += [size for size in range(low, min(high, low + 64) + 1) if size not in in_range]
        in_range = in_range or [low]
        chosen = candidates[0] if candidates and candidates[0] in in_range else None
        sizes[name] = chosen or next((size for size in in_range if size not in taken), in_range[skip % len(in_range)])
        taken.add(sizes[name])
    return sizes


def example_feeds(
    specs: Sequence[Spec],
    sizes: Mapping[str, int],
    seed: int = 0,
    bounds: Bounds | None = None,
    distributions: Distributions | None = None,
) -> dict[str, Array]:
    """Make seeded example inputs at `sizes` of the symbolic dimensions.

    An input that is not in `distributions` is standard normal where it holds real numbers, fair coins where Booleans,
    and evenly drawn from 0 to 1, or 0 to `bounds[name]`, inclusive, where integers. Raises `UsageError` for an
    input without a known rank or of dtype text, for a distribution that does not fit its input, and for sizes that no
    memory holds.
    """
    generator = np.random.default_rng(seed)
    bounds, distributions = bounds or {}, distributions or {}
    feeds: dict[str, Array] = {}
    for spec in open_dims(specs):
        shape, dtype = shape_at(spec, sizes), numpy_dtype(spec.dtype)
        bound, distribution = bounds.get(spec.name, 1), distributions.get(spec.name)
        try:
            feeds[spec.name] = draw(generator, spec, shape, dtype, bound, distribution)
        except (MemoryError, ValueError) as error:
            # ValueError is numpy's word for what no memory could hold.
            raise UsageError(f"input {spec.name} cannot be made of the sizes {list(shape)}: {error}") from error
    return feeds


def shape_at(spec: Spec, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """Return the shape of an input (see `open_dims`) at `sizes`. Raises `UsageError` where it is not known."""
    if spec.shape is None:
        raise UsageError(f"input {spec.name} has no known rank: give its dimensions, --input {EXPECTED}")
    return tuple(size_of(dim, sizes) for dim in spec.shape)


def numpy_dtype(name: str) -> np.dtype[np.generic]:
    """Return numpy's dtype called `name`, `bfloat16` and the float8 types included."""
    try:
        return np.dtype(name)
    except TypeError:
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))
