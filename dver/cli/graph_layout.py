"""Places the nodes of a graph in columns, so that its edges run to the right and cross little.

In four steps: cycles are opened by turning an edge of each around, every node gets the column behind all that leads to
it, the nodes of a column are ordered by where their neighbours are, and rows are found that keep this order and bring
neighbours close. An edge that passes columns takes a place in each, so that it runs between nodes and not over them;
where that would cost more places than there are nodes, the longest edges take none.

Nothing here is recursive, and the time it takes grows little faster than the graph.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

Edge: TypeAlias = tuple[int, int]
# Takes the places of a column, and for each place those beside it on one side.
_Change: TypeAlias = Callable[[list[int], list[list[int]]], None]

# An edge between nodes needs less height than a node.
_NODE_GAP = 1.0
_BEND_GAP = 0.55
_MOST_SWEEPS = 12
_FEWEST_SWEEPS = 3
_EDGES_SWEPT = 300_000
_BENDS_TO_A_NODE = 2
_BENDS_IN_ANY_CASE = 1_000


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything goes.

    Attributes:
        columns: the column of each node, from 0 at the left.
        rows: the row of each node; 1.0 apart is enough.
        bends: for an edge that passes columns, by its number, the row where it passes each, in its own direction.
        turned: the numbers of edges that run to the left, for they close a cycle.
    """

    columns: Sequence[int]
    rows: Sequence[float]
    bends: Mapping[int, Sequence[float]]
    turned: frozenset[int]


def lay_out(count: int, edges: Sequence[Edge]) -> Layout:
    """Return where `count` nodes go that are linked by `edges`; a node's edge to itself counts as turned."""
    turned = _close_cycles(count, edges)
    loops = frozenset(number for number in turned if edges[number][0] == edges[number][1])
    straight = {
        number: (edge[1], edge[0]) if number in turned else edge
        for number, edge in enumerate(edges)
        if number not in loops
    }
    columns = _find_columns(count, straight.values())
    grid = _Grid(columns, straight, turned)
    grid.arrange()
    bends = {number: [grid.rows[place] for place in places] for number, places in grid.bends.items()}
    return Layout(columns, grid.rows[:count], bends, turned)


def _neighbours(count: int, edges: Iterable[Edge]) -> tuple[list[list[int]], list[list[int]]]:
    """Return for each node the nodes before it, and those after it."""
    before: list[list[int]] = [[] for _ in range(count)]
    after: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        before[target].append(source)
        after[source].append(target)
    return before, after


def _close_cycles(count: int, edges: Sequence[Edge]) -> frozenset[int]:
    """Return the numbers of edges that lead back to where a walk in depth came from."""
    leaving: list[list[int]] = [[] for _ in range(count)]
    is_reached = [False] * count
    for number, (source, target) in enumerate(edges):
        leaving[source].append(number)
        is_reached[target] = True
    turned = set()
    # 0 for a node that is still to be seen, 1 on the way to where the walk is, 2 when all behind it is seen.
    states = [0] * count
    for root in sorted(range(count), key=is_reached.__getitem__):
        if states[root]:
            continue
        states[root] = 1
        path = [(root, iter(leaving[root]))]
        while path:
            node, further = path[-1]
            for number in further:
                target = edges[number][1]
                if states[target] == 1:
                    turned.add(number)
                elif states[target] == 0:
                    states[target] = 1
                    path.append((target, iter(leaving[target])))
                    break
            else:
                states[node] = 2
                path.pop()
    return frozenset(turned)


def _find_columns(count: int, edges: Iterable[Edge]) -> list[int]:
    """Return the column of each node: behind all before it, and no further from what is after it than needed."""
    before, after = _neighbours(count, edges)
    waiting = [len(nodes) for nodes in before]
    columns = [0] * count
    order = [node for node in range(count) if not waiting[node]]
    for node in order:
        for other in after[node]:
            columns[other] = max(columns[other], columns[node] + 1)
            waiting[other] -= 1
            if not waiting[other]:
                order.append(other)
    for node in reversed(order):
        # A program belongs to the run that used it, however many runs came before.
        if len(after[node]) > len(before[node]):
            columns[node] = min(columns[other] for other in after[node]) - 1
    leftmost = min(columns, default=0)
    return [column - leftmost for column in columns]


@dataclass(slots=True)
class _Block:
    """Neighbours in a column that would be too close, and so move together."""

    total: float
    size: int = 1

    @property
    def place(self) -> float:
        return self.total / self.size


@dataclass(slots=True)
class _Grid:
    """The places of nodes and of bends in their columns; a place below the number of nodes is that of a node."""

    columns: list[int]
    edges: Mapping[int, Edge]
    turned: frozenset[int]
    rows: list[float] = field(default_factory=list)
    bends: dict[int, list[int]] = field(default_factory=dict)
    _ranks: list[list[int]] = field(default_factory=list)
    _before: list[list[int]] = field(default_factory=list)
    _after: list[list[int]] = field(default_factory=list)
    _nodes: int = 0

    def arrange(self) -> None:
        """Order the places of each column and give them rows."""
        self._nodes = len(self.columns)
        steps = self._bend_edges()
        self._before, self._after = _neighbours(len(self.columns), steps)
        self._fill_ranks()
        sweeps = max(_FEWEST_SWEEPS, min(_MOST_SWEEPS, _EDGES_SWEPT // (len(steps) + 1)))
        for number in range(sweeps):
            self._sweep(self._order, forward=number % 2 == 0)
        self.rows = [0.0] * len(self.columns)
        for rank in self._ranks:
            self._settle(rank, [float(number) for number in range(len(rank))])
        for number in range(sweeps):
            self._sweep(self._place, forward=number % 2 == 0)
        top = min(self.rows, default=0.0)
        self.rows = [row - top for row in self.rows]

    def _bend_edges(self) -> list[Edge]:
        """Give edges that pass columns their places there, the shortest first; return all steps of one column."""
        # A copy, for places are added to it below.
        self.columns = list(self.columns)
        budget = _BENDS_IN_ANY_CASE + _BENDS_TO_A_NODE * self._nodes
        steps: list[Edge] = []
        for number in sorted(self.edges, key=self._length):
            source, target = self.edges[number]
            passed = self._length(number) - 1
            if number in self.turned or not 0 < passed <= budget:
                steps.append((source, target))
                continue
            budget -= passed
            first = len(self.columns)
            places = list(range(first, first + passed))
            self.columns += range(self.columns[source] + 1, self.columns[target])
            self.bends[number] = places
            way = [source, *places, target]
            steps += pairwise(way)
        return steps

    def _length(self, number: int) -> int:
        source, target = self.edges[number]
        return self.columns[target] - self.columns[source]

    def _fill_ranks(self) -> None:
        """Begin with an order in which what hangs together is found together."""
        self._ranks = [[] for _ in range(max(self.columns, default=-1) + 1)]
        is_seen = [False] * len(self.columns)
        for root in range(len(self.columns)):
            waiting = [root]
            while waiting:
                place = waiting.pop()
                if is_seen[place]:
                    continue
                is_seen[place] = True
                self._ranks[self.columns[place]].append(place)
                waiting += reversed(self._after[place])
                waiting += reversed(self._before[place])
        self.rows = [0.0] * len(self.columns)
        for rank in self._ranks:
            self._number(rank)

    def _sweep(self, change: _Change, *, forward: bool) -> None:
        for rank in self._ranks if forward else reversed(self._ranks):
            change(rank, self._before if forward else self._after)

    def _order(self, rank: list[int], beside: list[list[int]]) -> None:
        """Order a column by the mean row of the neighbours on one side; without any, a place stays where it is."""
        means = {place: self._mean(beside[place], self.rows[place]) for place in rank}
        rank.sort(key=means.__getitem__)
        self._number(rank)

    def _number(self, rank: list[int]) -> None:
        """Count a column's rows from its middle, so that columns of different lengths compare."""
        middle = (len(rank) - 1) / 2
        for number, place in enumerate(rank):
            self.rows[place] = number - middle

    def _place(self, rank: list[int], beside: list[list[int]]) -> None:
        """Move the places of a column towards their neighbours on one side, and on both once there are rows."""
        other = self._after if beside is self._before else self._before
        self._settle(rank, [self._mean(beside[place] or other[place], self.rows[place]) for place in rank])

    def _mean(self, places: Sequence[int], otherwise: float) -> float:
        if not places:
            return otherwise
        rows = self.rows
        return sum([rows[place] for place in places]) / len(places)

    def _settle(self, rank: Sequence[int], wanted: Sequence[float]) -> None:
        """Give a column the rows that are closest to the wanted ones, in its order and with the gaps that it needs."""
        offsets = self._offsets(rank)
        blocks: list[_Block] = []
        for row, offset in zip(wanted, offsets, strict=True):
            blocks.append(_Block(row - offset))
            while len(blocks) > 1 and blocks[-2].place > blocks[-1].place:
                last = blocks.pop()
                blocks[-1].total += last.total
                blocks[-1].size += last.size
        settled = (block.place for block in blocks for _ in range(block.size))
        for place, offset, base in zip(rank, offsets, settled, strict=True):
            self.rows[place] = base + offset

    def _offsets(self, rank: Sequence[int]) -> list[float]:
        offsets = [0.0]
        for above, below in pairwise(rank):
            is_bend = above >= self._nodes or below >= self._nodes
            offsets.append(offsets[-1] + (_BEND_GAP if is_bend else _NODE_GAP))
        return offsets[: len(rank)]
