"""Where the nodes of a graph go."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dver.cli.graph_layout import Edge, Layout, lay_out


def is_legible(layout: Layout, count: int, edges: list[Edge]) -> bool:
    """Whether every edge but those that close a cycle goes right, and no two nodes of a column touch."""
    places = sorted((layout.columns[node], layout.rows[node]) for node in range(count))
    apart = all(column != other or below - above > 0.99 for (column, above), (other, below) in pairwise(places))
    rightwards = all(
        layout.columns[source] < layout.columns[target]
        for number, (source, target) in enumerate(edges)
        if number not in layout.turned
    )
    return apart and rightwards and min(layout.columns, default=0) == 0 and min(layout.rows, default=0) >= 0


def test_a_chain_is_one_straight_line() -> None:
    layout = lay_out(4, [(0, 1), (1, 2), (2, 3)])

    assert list(layout.columns) == [0, 1, 2, 3]
    assert len(set(layout.rows)) == 1
    assert (layout.bends, layout.turned) == ({}, frozenset())


def test_what_is_used_late_stands_beside_its_use() -> None:
    # 5 goes into 3 only.
    layout = lay_out(6, [(0, 1), (1, 2), (2, 3), (3, 4), (5, 3)])

    assert list(layout.columns) == [0, 1, 2, 3, 4, 2]


def test_an_edge_that_passes_columns_passes_between_their_nodes() -> None:
    layout = lay_out(4, [(0, 1), (1, 2), (2, 3), (0, 3)])

    (bends,) = layout.bends.values()
    assert list(layout.bends) == [3]
    assert len(bends) == 2
    assert all(abs(bend - layout.rows[node]) > 0.5 for bend, node in zip(bends, (1, 2), strict=True))


def test_an_edge_that_closes_a_cycle_goes_back() -> None:
    layout = lay_out(3, [(0, 1), (1, 2), (2, 0), (1, 1)])

    assert layout.turned == {2, 3}
    assert list(layout.columns) == [0, 1, 2]


def test_edges_do_not_cross_where_they_need_not() -> None:
    # Two chains whose nodes come in an order that would cross them.
    layout = lay_out(6, [(0, 3), (1, 2), (3, 4), (2, 5)])

    for first, second in (((0, 3), (1, 2)), ((3, 4), (2, 5))):
        tops = [layout.rows[one] < layout.rows[other] for one, other in zip(first, second, strict=True)]
        assert tops[0] == tops[1]


def test_without_nodes_there_is_nothing_to_place() -> None:
    assert lay_out(0, []) == Layout([], [], {}, frozenset())


@given(st.data())
def test_any_graph_gets_places(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    nodes = st.integers(0, count - 1)
    edges = data.draw(st.lists(st.tuples(nodes, nodes), max_size=30))

    layout = lay_out(count, edges)

    assert is_legible(layout, count, edges)
    assert lay_out(count, edges) == layout


@pytest.mark.parametrize("shared", [False, True], ids=["far edges", "one node that all use"])
def test_a_large_graph_gets_no_more_bends_than_it_can_bear(shared: bool) -> None:
    count, dice = 4_000, random.Random(1)
    edges = [(node, node + 1) for node in range(count - 2)]
    edges += [
        (count - 1, node) if shared else (dice.randrange(node - 1), node) for node in range(3, count - 1) if node % 2
    ]

    layout = lay_out(count, edges)

    assert is_legible(layout, count, edges)
    assert sum(map(len, layout.bends.values())) <= 2 * count + 1_000
