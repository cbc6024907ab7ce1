"""The branches and loops of TensorFlow 1, found in the one graph that both sides and the body lie in.

A branch is Switches that send values one of two ways and Merges that take what comes; a loop is a frame that Enters
open, NextIterations repeat and Exits leave.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

SWITCHES = ("Switch", "RefSwitch")
MERGES = ("Merge", "RefMerge")
ENTERS = ("Enter", "RefEnter")
_EXITS = ("Exit", "RefExit")
_NEXT = ("NextIteration", "RefNextIteration")
# What goes in: the tensor outside, and what it is called inside, in several ways where need be.
_Entries = Sequence[tuple[Any, Sequence[Any]]]


@dataclass(frozen=True)
class Branch:
    """What Merges that one condition decides belong to.

    `sides` are what goes into the side that is taken where `condition` is false, and the other; `results` are what each
    gives the Merges, whose outputs are `outputs`.
    """

    name: str
    condition: Any
    sides: Sequence[_Entries]
    results: Sequence[Sequence[Any]]
    outputs: Sequence[Any]

    @property
    def inputs(self) -> list[Any]:
        """All that must be known outside."""
        return [self.condition, *(outside for entries in self.sides for outside, _ in entries)]


@dataclass(frozen=True)
class Loop:
    """What a LoopCond decides: the values that the frame carries, and those that stay as they are inside.

    `states` are what goes in, under the names of the condition; `inside` their names in the body, `repeated` what the
    body makes of them and `exits` what comes out, None where nobody reads it.
    """

    name: str
    condition: Any
    states: _Entries
    fixed: _Entries
    inside: Sequence[Any]
    repeated: Sequence[Any]
    exits: Sequence[Any]

    @property
    def inputs(self) -> list[Any]:
        """All that must be known outside."""
        return [outside for outside, _ in (*self.states, *self.fixed)]

    @property
    def outputs(self) -> list[Any]:
        """What comes out."""
        return [tensor for tensor in self.exits if tensor is not None]


Region = Branch | Loop


def regions(graph: Any) -> dict[str, Region]:
    """Return the regions of `graph` by the names of the operations, Merges and Exits, that leave them.

    What makes no region, such as a Merge of sides that no Switch decides, is left out.
    """
    operations = graph.get_operations()
    if not any(operation.type in MERGES for operation in operations):
        return {}
    loops = [_loop(operation) for operation in operations if operation.type == "LoopCond"]
    found: dict[str, Region] = {tensor.op.name: loop for loop in loops if loop is not None for tensor in loop.outputs}
    return found | _Branches(operations).regions()


def _loop(condition: Any) -> Loop | None:
    """Return the loop that a LoopCond decides."""
    switches = [op for op in condition.outputs[0].consumers() if op.type in SWITCHES]
    merges = [switch.inputs[0].op for switch in switches]
    if not all(merge.type in MERGES and len(merge.inputs) == 2 for merge in merges) or not switches:
        return None
    enters = [_only(merge, ENTERS) for merge in merges]
    nexts = [_only(merge, _NEXT) for merge in merges]
    if None in enters or None in nexts:
        return None
    repeated = [operation.inputs[0] for operation in nexts]
    frame = enters[0].get_attr("frame_name")
    stops = {switch.name for switch in switches} | {merge.name for merge in merges}
    return Loop(
        condition.name.removesuffix("/LoopCond"),
        condition.inputs[0],
        [(enter.inputs[0], [merge.outputs[0]]) for enter, merge in zip(enters, merges, strict=True)],
        [(e.inputs[0], [e.outputs[0]]) for e in _constants([condition.inputs[0], *repeated], frame, stops)],
        [switch.outputs[1] for switch in switches],
        repeated,
        [_exit(switch) for switch in switches],
    )


def _only(merge: Any, types: Sequence[str]) -> Any:
    found = [tensor.op for tensor in merge.inputs if tensor.op.type in types]
    return found[0] if len(found) == 1 else None


def _exit(switch: Any) -> Any:
    exits = [operation for operation in switch.outputs[0].consumers() if operation.type in _EXITS]
    return exits[0].outputs[0] if exits else None


def _constants(results: Iterable[Any], frame: Any, stops: set[str]) -> Iterator[Any]:
    """List the Enters by which values that stay as they are come into the frame."""
    seen: set[str] = set(stops)
    waiting = [tensor.op for tensor in results]
    while waiting:
        operation = waiting.pop()
        if operation.name in seen:
            continue
        seen.add(operation.name)
        if operation.type in ENTERS and operation.get_attr("frame_name") == frame:
            yield operation
        else:
            waiting += [tensor.op for tensor in operation.inputs]


# A condition, by the name of its tensor, and the side of it: 1 where it holds, 0 where not.
_Guards = frozenset[tuple[str, int]]


class _Branches:
    """Finds the branches of a graph by which conditions each operation waits for."""

    def __init__(self, operations: Sequence[Any]) -> None:
        self._operations = operations
        self._guards: dict[str, _Guards] = {}
        for operation in _forward(operations):
            self._guards[operation.name] = self._guards_of(operation)

    def regions(self) -> dict[str, Branch]:
        """Return each branch by the names of its Merges."""
        merges: dict[str, list[Any]] = {}
        for operation in self._operations:
            key = self._decider(operation) if operation.type in MERGES else None
            # Nothing in TensorFlow 2 says which side a Merge took.
            if key is not None and not operation.outputs[1].consumers():
                merges.setdefault(key, []).append(operation)
        groups = [group for same in merges.values() for group in self._independent(same)]
        regions = [self._region(group) for group in groups]
        return {merge.name: region for group, region in zip(groups, regions, strict=True) if region for merge in group}

    def _guards_of(self, operation: Any) -> _Guards:
        if operation.type in MERGES:
            sides = [self._of_tensor(tensor) for tensor in operation.inputs if tensor.op.type not in _NEXT]
            return frozenset.intersection(*sides)
        inherited = [self._of_tensor(tensor) for tensor in operation.inputs]
        inherited += [self._guards.get(before.name, frozenset()) for before in operation.control_inputs]
        return frozenset().union(*inherited)

    def _of_tensor(self, tensor: Any) -> _Guards:
        guards = self._guards.get(tensor.op.name, frozenset())
        key = _key(tensor.op)
        return guards if key is None else guards | {(key, tensor.value_index)}

    def _decider(self, merge: Any) -> str | None:
        """Return the condition that decides which input of a Merge there is; None where that is not one."""
        if len(merge.inputs) != 2 or _only(merge, _NEXT):
            return None
        one, other = (self._of_tensor(tensor) for tensor in merge.inputs)
        found = [key for key, side in one if (key, 1 - side) in other]
        return found[0] if len(found) == 1 else None

    def _independent(self, merges: Sequence[Any]) -> list[list[Any]]:
        """Split Merges that one condition decides into groups in which none needs another."""
        groups: list[list[Any]] = []
        behind: dict[str, set[str]] = {}
        for merge in merges:
            needed = behind[merge.name] = _ancestors(merge)
            for group in groups:
                if not any(other.name in needed or merge.name in behind[other.name] for other in group):
                    group.append(merge)
                    break
            else:
                groups.append([merge])
        return groups

    def _region(self, merges: Sequence[Any]) -> Branch:
        key = str(self._decider(merges[0]))
        sides: list[list[Any]] = [[], []]
        for merge in merges:
            for tensor in merge.inputs:
                sides[(key, 1) in self._of_tensor(tensor)].append(tensor)
        entries = [list(self._entries(results, key, side)) for side, results in enumerate(sides)]
        condition = next(_root(operation.inputs[1]) for operation in self._operations if _key(operation) == key)
        return Branch(merges[0].name, condition, entries, sides, [merge.outputs[0] for merge in merges])

    def _entries(self, results: Sequence[Any], key: str, side: int) -> Iterator[tuple[Any, Sequence[Any]]]:
        """List how values come into one side: the tensor outside, and what it is called inside."""
        seen: set[str] = set()
        waiting = list(results)
        while waiting:
            tensor = waiting.pop()
            if tensor.name in seen:
                continue
            seen.add(tensor.name)
            if _key(tensor.op) == key:
                yield tensor.op.inputs[0], [tensor]
            elif (key, side) in self._guards[tensor.op.name]:
                waiting += list(tensor.op.inputs)
            else:
                yield tensor, [tensor]


def _key(operation: Any) -> str | None:
    """Return the condition by which a Switch sends its value; None for any other operation, and in a loop's frame."""
    if operation.type not in SWITCHES or operation.inputs[1].op.type == "LoopCond":
        return None
    return str(_root(operation.inputs[1]).name)


def _root(tensor: Any) -> Any:
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return tensor


def _forward(operations: Sequence[Any]) -> Iterator[Any]:
    """List operations after those that they wait for, but for the repetition of loops."""
    done: set[str] = set()
    for root in operations:
        stack = [(root, False)]
        while stack:
            operation, ready = stack.pop()
            if ready:
                yield operation
            elif operation.name not in done:
                done.add(operation.name)
                stack.append((operation, True))
                stack += [(before, False) for before in _before(operation)]


def _ancestors(operation: Any) -> set[str]:
    found: set[str] = set()
    waiting = list(_before(operation))
    while waiting:
        before = waiting.pop()
        if before.name not in found:
            found.add(before.name)
            waiting += _before(before)
    return found


def _before(operation: Any) -> list[Any]:
    if operation.type in _NEXT:
        return []
    return [*(tensor.op for tensor in operation.inputs), *operation.control_inputs]
