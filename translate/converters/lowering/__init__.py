"""What both targets share: the table of lowerings, the binding of a node to one, the walk of a graph.

A *lowering* is a small function that says one ONNX operator in the target's language. `table` keeps them,
`bind` turns a node into the arguments of such a function, `interpret` runs a graph through a table.
Nothing here imports a framework.
"""

from translate.converters.lowering.interpret import Context, Interpreter, Target
from translate.converters.lowering.table import Lowering, Table

__all__ = ["Context", "Interpreter", "Lowering", "Table", "Target"]
