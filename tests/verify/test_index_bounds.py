"""The greatest integers that inputs may hold, from what they index."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import parser
from torch import Tensor, nn

from tests.zoo import ZOO
from translate import torch2tf
from translate.converters.torch_to_onnx import export
from translate.models import open_model
from translate.models.inputs import default_sizes, example_feeds
from translate.verify.index_bounds import index_bounds


def bounds(inputs: str, body: str, outputs: str = "float[?] y", *, functions: str = "") -> dict[str, int]:
    """Find the bounds of a graph in ONNX's text format; `table` is a float[7, 5], `few` an int64[3] of 2, 4, 3."""
    weights = "float[7,5] table, int64[3] few = {2, 4, 3}, int64 one = {1}, int64 ten = {10}, int64[1] axis = {1}"
    text = f"""<ir_version: 10, opset_import: ["" : 20, "local" : 1]>
    agraph ({inputs}) => ({outputs}) <{weights.replace("float[7,5] table", "float[7,5] table = {" + zeros(35) + "}")}>
    {{ {body} }} {functions}"""
    model = onnx.shape_inference.infer_shapes(parser.parse_model(text))
    return index_bounds(ir.from_proto(model))


def zeros(count: int) -> str:
    return ", ".join(["0.0"] * count)


def test_a_table_that_is_as_long_as_an_open_dimension_bounds_by_it() -> None:
    text = """<ir_version: 10, opset_import: ["" : 20]>
    agraph (float[nodes, 3] x, float[50] few, int64[2, edges] edge, int64[edges] kind) => (float[a] y, float[b, 3] z)
    <int64 first = {0}, int64 one = {1}> {
        from = Gather<axis = 0>(edge, first)
        later = Add(from, one)
        h = Gather<axis = 0>(x, later)
        z = Gather<axis = 0>(x, kind)
        y = Gather<axis = 0>(few, kind)
    }"""
    graph = ir.from_proto(onnx.shape_inference.infer_shapes(parser.parse_model(text)))
    assert index_bounds(graph, ["nodes", "edges"]) == {"edge": "nodes - 2", "kind": "min(49, nodes - 1)"}
    assert index_bounds(graph) == {"kind": 49}


def test_messages_along_edges_are_compared_at_all_sizes(tmp_path: Path) -> None:
    class Graph(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: Tensor, edge: Tensor) -> Tensor:
            messages = self.layer(x)[edge[0]]
            return torch.zeros_like(x).index_add(0, edge[1], messages)

    result = torch2tf(Graph(), tmp_path / "tf", inputs=["x:nodes,4", "edge:2,edges:int64"])
    assert result.verdict is not None and result.verdict.passed
    assert {run.sizes["nodes"] for run in result.verdict.runs} == {1, 2, 5}


IDS = "int64[n] ids"


@pytest.mark.parametrize(
    ("body", "bound"),
    [
        ("y = Gather(table, ids)", 6),
        ("y = Gather<axis = 1>(table, ids)", 4),
        ("y = Gather<axis = -1>(table, ids)", 4),
        ("a = Cast<to = 6>(ids)  b = Unsqueeze(a, axis)  c = Concat<axis = 1>(b, b)  y = Gather(table, c)", 6),
        ("two = Concat<axis = 0>(ids, few)  y = Gather(table, two)", 6),
        ("b = Unsqueeze(ids, axis)  y = GatherElements<axis = 0>(table, b)", 6),
        ("b = Unsqueeze(ids, axis)  y = GatherND(table, b)", 6),
        ("a = Add(ids, one)  y = Gather(table, a)", 5),
        ("a = Add(few, ids)  y = Gather(table, a)", 2),
        ("a = Sub(ids, one)  y = Gather(table, a)", 7),
        ("a = Mul(ids, few)  y = Gather(table, a)", 1),
        ("a = Div(ids, ten)  y = Gather(table, a)", 69),
        # No number is out of the table here.
        ("a = Mod(ids, one)  y = Gather(table, a)", None),
        ("a = Min(ids, one)  y = Gather(table, a)", None),
        ("a = Mod(ids, ten)  y = Gather(table, a)", 6),
        ("a = Min(ids, ten)  y = Gather(table, a)", 6),
        # Negative numbers count from the end.
        ("c = Less(ids, one)  a = Add(ids, ten)  b = Where(c, a, ids)  y = Gather(table, b)", 6),
        # The smaller of two tables.
        ("a = Gather(table, ids)  b = Gather(few, ids)  y = Identity(a)", 2),
        # Used as a number, as a truth, as a condition, as the size of something.
        ("y = Cast<to = 1>(ids)", None),
        ("a = Cast<to = 9>(ids)  b = Cast<to = 7>(a)  y = Gather(table, b)", None),
        ("a = Cast<to = 9>(ids)  b = Where(a, few, one)  y = Gather(table, b)", None),
        ("a = CumSum(ids, one)  y = Gather(table, a)", None),
        ("a = Size(ids)  y = Gather(table, a)", None),
        ("a = Sub(ten, ids)  y = Gather(table, a)", None),
    ],
)
def test_one_input(body: str, bound: int | None) -> None:
    assert bounds(IDS, body) == ({} if bound is None else {"ids": bound})


def test_one_hot_and_scatter() -> None:
    body = "values = Constant<value_floats = [0.0, 1.0]>()  y = OneHot(ids, ten, values)"
    assert bounds(IDS, body) == {"ids": 9}
    scatter = "b = Unsqueeze(ids, axis)  u = Cast<to = 1>(b)  y = ScatterElements<axis = 1>(table, b, u)"
    assert bounds(IDS, scatter) == {"ids": 4}


def test_the_parts_of_an_index_have_an_axis_each() -> None:
    inputs = "int64[n] rows, int64[n] columns"
    body = """a = Unsqueeze(rows, axis)  b = Unsqueeze(columns, axis)
    both = Concat<axis = -1>(a, b)  y = GatherND(table, both)"""
    assert bounds(inputs, body) == {"rows": 6, "columns": 4}


def test_an_open_extent_bounds_nothing() -> None:
    assert bounds("float[n, 5] x, int64[m] ids", "y = Gather(x, ids)") == {}
    assert bounds("float[n, 5] x, int64[m] ids", "y = Gather<axis = 1>(x, ids)") == {"ids": 4}


def test_several_inputs_and_a_mask() -> None:
    inputs = "int64[n] ids, int64[n] kinds, int64[n] mask, float[n] x"
    body = """a = Gather(table, ids)  b = Gather(few, kinds)  f = Cast<to = 1>(mask)  g = Mul(f, x)
    s = ReduceSum<keepdims = 0>(a, axis)  t = Add(s, g)  u = Cast<to = 1>(b)  y = Add(t, u)"""
    assert bounds(inputs, body) == {"ids": 6, "kinds": 2}


def test_functions_and_subgraphs() -> None:
    function = '<domain: "local", opset_import: ["" : 20]> look (t, i) => (o) { o = Gather(t, i) }'
    assert bounds(IDS, "y = local.look(table, ids)", functions=function) == {"ids": 6}
    branches = """y = If (c) <then_branch = t () => (float[a, 5] p) { p = Gather(table, ids) },
    else_branch = e () => (float[b, 5] q) { j = Gather(few, ids)  q = Gather(table, j) }>"""
    assert bounds(f"bool c, {IDS}", branches) == {"ids": 2}
    chosen = """j = If (c) <then_branch = t () => (int64[a] p) { p = Identity(ids) },
    else_branch = e () => (int64[b] q) { q = Identity(few) }>  y = Gather(table, j)"""
    assert bounds(f"bool c, {IDS}", chosen) == {"ids": 6}
    loop = """y, z = Loop (one, , ids) <body = b (int64 i, bool c, int64[n] state)
    => (bool d, int64[n] next, float[m, 5] o) { d = Identity(c)  next = Identity(state)  o = Gather(table, state) }>"""
    assert bounds(IDS, loop, "int64[?] y, float[?] z") == {"ids": 6}


class Tables(nn.Module):
    """What a recommender has: a table for each categorical input, and numbers beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(rows, 4) for rows in (11, 3, 500))
        self.bag = nn.Embedding(21, 4)

    def forward(self, dense: Tensor, kinds: Tensor, bag: Tensor, count: Tensor) -> Tensor:
        found = [table(kinds[:, index]) for index, table in enumerate(self.tables)]
        scaled = self.bag(bag.clamp(max=15) + 2).mean(1) * count[:, None]
        return torch.cat([dense, *found, scaled], 1)


def test_a_recommender_of_torch() -> None:
    inputs = ["dense:batch,4", "kinds:batch,3:int64", "bag:batch,6:int64", "count:batch:int64"]
    model = open_model(Tables(), inputs=inputs)
    # All columns of one input come from one distribution, so that the smallest table decides.
    assert index_bounds(export(model)) == {"kinds": 2}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("gpt2", {"input_ids": 98}, marks=pytest.mark.zoo),
        pytest.param("bert", {"input_ids": 98, "token_type_ids": 1}, marks=pytest.mark.zoo),
        ("index_play", {"ids": 29}),
    ],
)
def test_language_models_of_torch(name: str, expected: dict[str, int]) -> None:
    module, inputs = ZOO[name]()
    model = open_model(module, inputs=inputs)
    found = index_bounds(export(model))
    assert found == expected
    # The model itself agrees: it takes what is within the bounds, and not one more.
    feeds = example_feeds(model.inputs, default_sizes(model.inputs)[0], bounds=found)
    model.run(feeds)
    with pytest.raises(Exception, match="index out of range"):
        model.run({key: array + found.get(key, 0) for key, array in feeds.items()})


def test_a_number_that_runs_through_a_deep_network() -> None:
    # As a picture of integers does; it ends at the first operator after which it indexes nothing.
    layers = "  ".join(f"x{i + 1} = Relu(x{i})" for i in range(1500))
    assert bounds(IDS, f"x0 = Cast<to = 1>(ids)  {layers}  y = Relu(x1500)") == {}
