"""The verdict: what passes, what does not, and what is said about it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import ml_dtypes
import numpy as np
import pytest
import torch
from torch import nn

from translate.errors import UsageError
from translate.models import open_model
from translate.models.base import Array, Dim, Model, Spec
from translate.models.inputs import example_feeds
from translate.verify import Verdict, compare
from translate.verify.cases import Case


class Function(Model):
    """A model that is one Python function of `x` with one output `y`."""

    kind = "function"

    def __init__(
        self,
        function: Callable[[Array], Array],
        *,
        dtype: str = "float32",
        inputs: tuple[Dim, ...] = ("batch", 3),
        outputs: tuple[Dim, ...] | None = None,
        output: str = "y",
        input_dtype: str = "float32",
    ) -> None:
        self.function = function
        self.inputs = (Spec("x", input_dtype, inputs),)
        self.outputs = (Spec(output, dtype, inputs if outputs is None else outputs),)

    def call(self, values: Mapping[str, Array]) -> dict[str, Array]:
        return {self.outputs[0].name: self.function(values["x"])}


def problems(verdict: Verdict) -> str:
    return "; ".join(problem for run in verdict.runs for output in run.outputs for problem in output.problems)


def notes(verdict: Verdict) -> str:
    return "; ".join(note for run in verdict.runs for output in run.outputs for note in output.notes)


def plus(offset: float) -> Function:
    return Function(lambda x: x + np.float32(offset))


def test_the_same_function_passes_at_every_default_size_with_two_seeds() -> None:
    verdict = compare(plus(0), plus(0))
    assert verdict.passed
    assert {run.sizes["batch"] for run in verdict.runs} == {1, 2, 5}
    assert len(verdict.runs) == 6
    assert verdict.warnings == ()
    worst = max(output.error for run in verdict.runs for output in run.outputs)
    assert worst == 0


def test_the_bound_is_proportional_to_the_output() -> None:
    for magnitude in (1e-6, 1.0, 1e6):
        source = Function(lambda x, m=magnitude: (np.tanh(x) * m).astype(np.float32))
        for error, passes in ((2e-7, True), (2e-6, False)):

            def target(x: Array, m: float = magnitude, e: float = error) -> Array:
                y = np.tanh(x) * m
                return (y + e * np.abs(y.astype(np.float32)).max()).astype(np.float32)

            assert compare(source, Function(target)).passed == passes


def test_figures_are_right() -> None:
    source = Function(lambda x: np.float64([[1, -4, 0]]), dtype="float64", outputs=(1, 3))
    target = Function(lambda x: np.float64([[1.5, -4, 0]]), dtype="float64", outputs=(1, 3))
    output = compare(source, target, sizes=[{"batch": 1}]).runs[0].outputs[0]
    assert (output.max_abs, output.max_rel, output.scale) == (0.5, 0.5, 4.0)
    # Four units in the last place of 4, nothing being known of the source's rounding but that it is constant.
    assert output.tolerance.maximum == 4 * 2.0**-52 * 4
    assert output.error == pytest.approx(0.5 / output.tolerance.maximum)
    assert output.rms == pytest.approx(0.5 / np.sqrt(3))
    assert output.tolerance.rms == pytest.approx(4 * 2.0**-52 * np.sqrt(17 / 3))
    assert output.cosine == pytest.approx((1.5 + 16) / (np.sqrt(17) * np.sqrt(18.25)))
    assert not output.passed


def test_explicit_tolerance_is_the_classic_test() -> None:
    source, target = plus(0), Function(lambda x: x * np.float32(1.01))
    assert not compare(source, target).passed
    assert compare(source, target, rtol=0.02, atol=0).passed
    assert not compare(source, target, rtol=0.005, atol=0).passed
    assert compare(source, target, rtol={"y": 0.02}, atol=0).passed
    assert not compare(source, target, rtol={"": 0.02, "y": 0.005}, atol={"y": 0}).passed
    with pytest.raises(UsageError, match="a tolerance names logits; the outputs are y"):
        compare(source, target, rtol={"logits": 0.02})


def test_nan_passes_only_in_the_same_places_and_is_said() -> None:
    def nan_at(*columns: int) -> Function:
        def function(x: Array) -> Array:
            x[:, list(columns)] = np.nan
            return x

        return Function(function)

    both = compare(nan_at(1), nan_at(1))
    assert both.passed
    assert "NaN in the same 2 of 6 places on both sides" in notes(both)
    for source, target in ((nan_at(), nan_at(1)), (nan_at(1), nan_at()), (nan_at(0), nan_at(1))):
        verdict = compare(source, target)
        assert not verdict.passed
        assert "NaN" in problems(verdict)
    everywhere = compare(nan_at(0, 1, 2), nan_at(0, 1, 2))
    assert everywhere.passed
    assert "hardly depends" in everywhere.warnings[0]


def test_infinities_must_be_equal() -> None:
    def with_first(value: float) -> Function:
        def function(x: Array) -> Array:
            x[:, 0] = value
            return x

        return Function(function)

    assert compare(with_first(np.inf), with_first(np.inf)).passed
    assert "infinite" in notes(compare(with_first(np.inf), with_first(np.inf)))
    for other in (-np.inf, np.nan, 3e38):
        assert not compare(with_first(np.inf), with_first(other)).passed
        assert not compare(with_first(other), with_first(np.inf)).passed


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_integers_and_booleans_are_exact(dtype: str) -> None:
    source = Function(lambda x: (x > 0).astype(dtype), dtype=dtype)
    wrong = Function(lambda x: (x > 0).astype(dtype) ^ (np.arange(3) == 1).astype(dtype), dtype=dtype)
    assert compare(source, source).passed
    assert not compare(source, wrong).passed
    assert not compare(source, wrong, rtol=10, atol=10).passed


def test_large_integers_are_not_compared_as_floats() -> None:
    large = 2**62
    source = Function(lambda x: np.full(x.shape, large), dtype="int64")
    target = Function(lambda x: np.full(x.shape, large + 1), dtype="int64")
    assert not compare(source, target).passed


def test_bfloat16_and_complex() -> None:
    bfloat16 = Function(lambda x: x.astype(ml_dtypes.bfloat16), dtype="bfloat16")
    near = Function(lambda x: (x * 1.002).astype(ml_dtypes.bfloat16), dtype="bfloat16")
    far = Function(lambda x: (x * 1.1).astype(ml_dtypes.bfloat16), dtype="bfloat16")
    assert compare(bfloat16, near).passed
    assert not compare(bfloat16, far).passed
    wave = Function(lambda x: np.exp(1j * x).astype(np.complex64), dtype="complex64")
    conjugate = Function(lambda x: np.exp(-1j * x).astype(np.complex64), dtype="complex64")
    assert compare(wave, wave).passed
    assert not compare(wave, conjugate).passed


def test_text_is_exact() -> None:
    source = Function(lambda x: np.where(x > 0, "yes", "no").astype(object), dtype="str")
    target = Function(lambda x: np.where(x > 0.1, "yes", "no").astype(object), dtype="str")
    assert compare(source, source).passed
    assert not compare(source, target).passed


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (Function(lambda x: x, output="z"), 'output "y" is missing in the target'),
        (Function(lambda x: x, dtype="float64"), 'output "y" is float32 in the source and float64 in the target'),
        (Function(lambda x: x, input_dtype="int64"), 'input "x" is float32 in the source and int64'),
        (Function(lambda x: x, inputs=(2, 3)), "input x float32[batch, 3] of the source is x float32[2, 3]"),
        (Function(lambda x: x, inputs=("batch", 4)), "input x float32[batch, 3] of the source is x float32[batch, 4]"),
        (Function(lambda x: x, inputs=("batch", 3, 1)), "float32[batch, 3, 1]"),
    ],
)
def test_interfaces_must_be_the_same(target: Function, said: str) -> None:
    verdict = compare(plus(0), target)
    assert not verdict.passed
    assert verdict.runs == ()
    assert said in "; ".join(verdict.interface)


def test_nameless_dimensions_of_the_target_are_open() -> None:
    assert compare(plus(0), Function(lambda x: x, inputs=(None, 3))).passed


def test_shapes_and_dtypes_of_values_must_be_the_same() -> None:
    source = Function(lambda x: x, outputs=("batch", 3))
    transposed = compare(source, Function(lambda x: x.T, outputs=(None, None)))
    assert not transposed.passed
    assert "shape is [2, 3] in the source and [3, 2] in the target" in problems(transposed)
    # One row would broadcast; it must not.
    assert not compare(source, Function(lambda x: x[:1], outputs=(None, 3))).passed
    assert "dtype is float32" in problems(compare(source, Function(lambda x: x.astype(np.float64))))


def test_a_target_that_fails_at_some_size_does_not_pass() -> None:
    def only_two(x: Array) -> Array:
        if len(x) != 2:
            raise ValueError("Matrix size-incompatible")
        return x

    verdict = compare(plus(0), Function(only_two))
    assert not verdict.passed
    assert [run.passed for run in verdict.runs] == [run.sizes["batch"] == 2 for run in verdict.runs]
    assert "ValueError: Matrix size-incompatible" in {run.failure.partition(": ")[2] for run in verdict.runs}


def test_a_source_that_fails_is_the_requests_fault() -> None:
    def fails(x: Array) -> Array:
        raise RuntimeError("size mismatch")

    with pytest.raises(UsageError, match="the source itself fails at batch=2: RuntimeError: size mismatch"):
        compare(Function(fails), plus(0))


def test_a_dead_output_is_a_warning() -> None:
    constant = Function(lambda x: np.ones_like(x) + np.float32(1e-7) * x)
    verdict = compare(constant, constant)
    assert verdict.passed
    assert verdict.warnings == ('output "y" hardly depends on the inputs: its agreement says little',)


def test_a_model_may_write_into_its_input() -> None:
    def in_place(x: Array) -> Array:
        x += 1
        return x

    assert compare(Function(in_place), plus(1)).passed


def test_sizes_and_samples() -> None:
    verdict = compare(plus(0), plus(0), sizes=[{"batch": 7}], sample={"x": np.ones((4, 3), np.float32)})
    assert [(run.inputs, run.outputs[0].shape) for run in verdict.runs] == [
        ("random", (7, 3)),
        ("random", (7, 3)),
        ("sample", (4, 3)),
    ]


def test_integers_reach_as_far_as_the_samples() -> None:
    seen: list[int] = []

    def look(x: Array) -> Array:
        seen.append(int(x.max()))
        return x

    model = Function(look, dtype="int64", input_dtype="int64", inputs=("batch", 50))
    compare(model, model, sample={"x": np.full((1, 50), 1000)})
    assert 900 < max(seen) <= 1000


def test_the_seed_decides_the_inputs() -> None:
    def first(seed: int) -> float:
        return compare(plus(0), plus(0), seed=seed).runs[0].outputs[0].scale

    assert first(3) == first(3) != first(4)


def test_an_empty_output_is_said() -> None:
    empty = Function(lambda x: x[:, :0], outputs=("batch", 0))
    verdict = compare(empty, empty)
    assert "the output is empty" in notes(verdict)
    assert verdict.warnings == ()


class Rounding(Function):
    """A source that is `noise` away from its own value in double precision."""

    def __init__(self, noise: float) -> None:
        super().__init__(lambda x: x + np.float32(noise))

    def run_double(self, feeds):
        return {"y": feeds["x"].astype(np.float64)}


@pytest.mark.parametrize(("distance", "passed"), [(5e-3, True), (7e-3, False)])
def test_a_target_within_six_times_the_sources_own_rounding_passes(distance: float, passed: bool) -> None:
    verdict = compare(Rounding(1e-3), plus(1e-3 + distance), sizes=[{"batch": 50}])
    assert verdict.passed is passed
    for output in (output for run in verdict.runs for output in run.outputs):
        assert output.noise is not None
        assert output.noise.method == "float64"
        assert output.noise.maximum == pytest.approx(1e-3, rel=1e-3)
        assert output.tolerance.maximum == pytest.approx(6 * output.noise.maximum)
        assert output.over_noise == pytest.approx(distance / output.noise.maximum, rel=1e-3)
        assert output.error == pytest.approx(distance / 6e-3, rel=1e-3)


def test_a_small_difference_everywhere_is_seen_though_no_element_is_far_off() -> None:
    class Rare(Rounding):
        """Rounding that shows in one place only."""

        def run_double(self, feeds):
            exact = (feeds["x"] + np.float32(1e-3)).astype(np.float64)
            exact[0, 0] += 1e-3
            return {"y": exact}

    inputs = ("batch", 1000)
    source, everywhere = Rare(1e-3), Function(lambda x: x + np.float32(5e-3), inputs=inputs)
    source.inputs = source.outputs = (Spec("x", "float32", inputs),)
    source.outputs = everywhere.outputs
    verdict = compare(source, everywhere)
    assert not verdict.passed
    assert "root mean square" in problems(verdict)
    assert "values differ by more than the" not in problems(verdict)


def test_one_neighbour_of_the_inputs_is_the_yardstick_where_nothing_wider_can_be_run() -> None:
    steep = Function(lambda x: np.exp(20 * x.astype(np.float32)))
    shifted = Function(lambda x: np.exp(20 * np.nextafter(x, np.float32(9))).astype(np.float32))
    verdict = compare(steep, shifted)
    assert verdict.passed
    noise = [output.noise for run in verdict.runs for output in run.outputs]
    assert {one.method for one in noise if one is not None} == {"one ulp"}
    assert not compare(steep, Function(lambda x: np.exp(20 * x * np.float32(1 + 1e-5)))).passed


def test_a_source_that_is_mostly_rounding_is_a_warning() -> None:
    verdict = compare(Rounding(0.1), Rounding(0.1))
    assert verdict.passed
    assert "rounding alone changes more than half of the digits" in "".join(verdict.warnings)
    assert compare(Rounding(1e-5), Rounding(1e-5)).warnings == ()


def test_a_source_that_draws_random_numbers_is_a_warning() -> None:
    generator = np.random.default_rng(0)
    random = Function(lambda x: x + generator.random(x.shape, np.float32))
    warnings = "".join(compare(random, random).warnings)
    assert 'two runs of the source on the same inputs differ in output "y"' in warnings
    assert "rounding alone" not in warnings


def linear(weight: Array, dtype: str = "float32") -> Function:
    return Function(lambda x: x @ weight, inputs=("batch", 512), outputs=("batch", weight.shape[1]), dtype=dtype,
                    input_dtype=dtype)  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_weight_of_a_linear_layer_changed_by_one_percent_is_seen(dtype: str) -> None:
    weight = np.random.default_rng(0).standard_normal((512, 64)).astype(dtype) / 64
    wrong = weight.copy()
    wrong[17, 3] *= weight.dtype.type(1.01)
    assert compare(linear(weight, dtype), linear(weight, dtype)).passed
    verdict = compare(linear(weight, dtype), linear(wrong, dtype))
    assert not verdict.passed
    # What a fixed bound of 1e-3, or the cosine, would have said.
    assert compare(linear(weight, dtype), linear(wrong, dtype), rtol=1e-3, atol=1e-3).passed
    assert all(output.cosine is not None and output.cosine > 0.999 for run in verdict.runs for output in run.outputs)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_another_order_of_summation_passes(dtype: str) -> None:
    torch.manual_seed(0)
    precision = getattr(torch, dtype)
    layers = nn.Sequential(nn.Linear(512, 256), nn.Tanh(), nn.Linear(256, 64)).eval().to(precision)
    inputs = [f"input:batch,512:{dtype}"]
    order = torch.randperm(512), torch.randperm(256)

    class Shuffled(nn.Module):
        def forward(self, input):
            first, second = layers[0], layers[2]
            x = torch.tanh(nn.functional.linear(input[:, order[0]], first.weight[:, order[0]], first.bias))
            return nn.functional.linear(x[:, order[1]], second.weight[:, order[1]], second.bias)

    source, target = open_model(layers, inputs=inputs), open_model(Shuffled(), inputs=inputs)
    verdict = compare(source, target)
    assert verdict.passed
    assert verdict.warnings == ()
    wrong = copy.deepcopy(layers)
    with torch.no_grad():
        wrong[2].weight *= 1.1 if dtype == "bfloat16" else 1.01
    assert not compare(source, open_model(wrong, inputs=inputs)).passed


def test_an_edge_case_that_the_source_refuses_is_left_out() -> None:
    def picky(x: Array) -> Array:
        if not x.any():
            raise ValueError("division by zero")
        return x

    ones, zeros = (np.full((2, 3), value, np.float32) for value in (1, 0))
    made = [Case("edge zeros", {"batch": 2}, None, {"x": zeros}), Case("edge ones", {"batch": 2}, None, {"x": ones})]
    verdict = compare(Function(picky), plus(0), made)
    assert verdict.passed
    assert [run.inputs for run in verdict.runs] == ["edge ones"]
    assert "edge zeros was left out: the source itself fails: ValueError: division by zero" in verdict.warnings
    with pytest.raises(UsageError, match="the source itself fails"):
        compare(Function(picky), plus(0), [Case("random", {"batch": 2}, 0, {"x": zeros})])


def test_denormals_may_become_zero_and_nothing_else_may() -> None:
    def flush(x: Array) -> Array:
        return np.where(np.abs(x) < np.finfo(np.float32).tiny, np.float32(0), x)

    tiny = np.float32([[1e-39, -3e-41, 2e-38], [0, 1e-38, -1e-45]])
    case = Case("edge tiny", {"batch": 2}, None, {"x": tiny})
    assert compare(plus(0), Function(flush), [case]).passed
    amplify = Function(lambda x: x * np.float32(1e6))
    assert compare(amplify, Function(lambda x: flush(x) * np.float32(1e6)), [case]).passed
    normal = Case("edge tiny", {"batch": 2}, None, {"x": tiny * 100})
    assert not compare(plus(0), Function(lambda x: np.zeros_like(x)), [normal]).passed


def test_a_torch_model_measures_its_own_rounding() -> None:
    torch.manual_seed(0)
    model = open_model(nn.Sequential(nn.Linear(100, 100), nn.Tanh(), nn.Linear(100, 5)).eval(), inputs=["batch,100"])
    feeds = example_feeds(model.inputs, {"batch": 3})
    single, double = model.run(feeds), model.run_double(feeds)
    assert double is not None
    assert double["output"].dtype == np.float64
    assert 0 < np.abs(single["output"] - double["output"]).max() < 1e-5
    # The model itself is left in float32.
    assert model.run(feeds)["output"].dtype == np.float32


def test_what_cannot_be_computed_in_float64_is_measured_by_its_neighbours() -> None:
    class Bits(nn.Module):
        def forward(self, x):
            return torch.matmul(x, (x.view(torch.int32) >= 0).float().mT)

    class Names(nn.Module):
        def forward(self, x):
            return torch.matmul(x, torch.ones(4, 3, dtype=torch.float32))

    for module, method in ((Bits(), "one ulp"), (Names(), "float64")):
        model = open_model(module.eval(), inputs=["x:batch,4"])
        verdict = compare(model, model)
        assert {output.noise.method for run in verdict.runs for output in run.outputs if output.noise} == {method}


class Lucky(Function):
    """A source that rounds to a thousandth everywhere but at the inputs that it was made for, where it is exact."""

    def __init__(self, feeds: Array) -> None:
        super().__init__(lambda x: x)
        self.feeds = feeds

    def run_double(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        rounding = 0.0 if np.array_equal(feeds["x"], self.feeds) else 1e-3
        return {"y": feeds["x"].astype(np.float64) + rounding}


def test_a_source_that_is_exact_by_luck_is_measured_on_neighbouring_inputs() -> None:
    feeds = np.random.default_rng(0).standard_normal([2, 3]).astype(np.float32)
    case = Case("random", {"batch": 2}, 0, {"x": feeds})
    assert compare(Lucky(feeds), plus(5e-3), [case]).passed
    verdict = compare(Lucky(feeds), plus(7e-3), [case])
    assert not verdict.passed and "rounding explains" in problems(verdict)
