"""Minimum cuts of directed graphs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable


def minimum_cut(count: int, edges: Iterable[tuple[int, int, int]], *, source: int, sink: int) -> set[int]:
    """Return the vertices on the source's side of a minimum cut, the smallest such set.

    There are `count` vertices, numbered from 0; an edge is `(from, to, capacity)`. This is Dinic's algorithm (E. A.
    Dinic, "Algorithm for solution of a problem of maximum flow in networks with power estimation", 1970).
    """
    heads: list[int] = []
    capacities: list[int] = []
    outgoing: list[list[int]] = [[] for _ in range(count)]
    for tail, head, capacity in edges:
        # An edge and its reverse are neighbours: number e and e ^ 1.
        outgoing[tail].append(len(heads))
        outgoing[head].append(len(heads) + 1)
        heads += [head, tail]
        capacities += [capacity, 0]

    while True:
        levels = _levels(outgoing, heads, capacities, source)
        if levels[sink] < 0:
            return {vertex for vertex in range(count) if levels[vertex] >= 0}
        _saturate(outgoing, heads, capacities, levels, source, sink)


def _levels(outgoing: list[list[int]], heads: list[int], capacities: list[int], source: int) -> list[int]:
    """Return each vertex's distance from the source over edges with capacity left; -1 where there is no way."""
    levels = [-1] * len(outgoing)
    levels[source] = 0
    queue = deque([source])
    while queue:
        vertex = queue.popleft()
        for edge in outgoing[vertex]:
            if capacities[edge] > 0 and levels[heads[edge]] < 0:
                levels[heads[edge]] = levels[vertex] + 1
                queue.append(heads[edge])
    return levels


def _saturate(
    outgoing: list[list[int]], heads: list[int], capacities: list[int], levels: list[int], source: int, sink: int
) -> None:
    """Send as much as possible along the shortest ways from source to sink."""
    untried = [0] * len(outgoing)
    path: list[int] = []
    vertex = source
    while True:
        if vertex == sink:
            sent = min(capacities[edge] for edge in path)
            for edge in path:
                capacities[edge] -= sent
                capacities[edge ^ 1] += sent
            path, vertex = [], source
        elif untried[vertex] < len(outgoing[vertex]):
            edge = outgoing[vertex][untried[vertex]]
            if capacities[edge] > 0 and levels[heads[edge]] == levels[vertex] + 1:
                path.append(edge)
                vertex = heads[edge]
            else:
                untried[vertex] += 1
        elif vertex == source:
            return
        else:
            vertex = heads[path.pop() ^ 1]
            untried[vertex] += 1
