from __future__ import annotations

import pickle
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.graph.order import CycleError, cycles, following, reached, waves

Links = list[tuple[int, int]]

NODES = st.integers(0, 8)
LINKS = st.lists(st.tuples(NODES, NODES), max_size=25)
ACYCLIC = LINKS.map(lambda links: [(min(link), max(link)) for link in links if link[0] != link[1]])


@given(LINKS)
def test_cycles_are_cycles_and_none_is_left(links: Links) -> None:
    found = cycles(links)
    for path in found:
        assert path[0] == path[-1]
        assert len(path) > 2
        assert all(link in links for link in pairwise(path))
    on_cycles = {node for path in found for node in path}
    assert cycles([link for link in links if not on_cycles & set(link)]) == []


@given(ACYCLIC, st.lists(NODES, max_size=4))
def test_waves_hold_every_node_once_and_as_early_as_its_links_allow(links: Links, nodes: list[int]) -> None:
    found = waves(links, nodes)
    number = {node: index for index, wave in enumerate(found) for node in wave}
    assert sorted(node for wave in found for node in wave) == sorted({*nodes, *(end for link in links for end in link)})
    for node, index in number.items():
        before = [number[first] for first, second in links if second == node]
        assert index == max(before, default=-1) + 1
    assert all(found)


@given(LINKS)
def test_waves_of_a_graph_with_a_cycle_are_an_error_with_its_path(links: Links) -> None:
    if not cycles(links) and all(first != second for first, second in links):
        waves(links)
        return
    with pytest.raises(CycleError) as error:
        waves(links)
    path = error.value.path
    assert path[0] == path[-1]
    assert len(path) > 1
    assert all(link in links for link in pairwise(path))


def test_a_wave_has_the_order_in_which_its_nodes_are_named() -> None:
    assert waves([("c", "z"), ("a", "z"), ("b", "y")], ["b", "a"]) == (("b", "a", "c"), ("z", "y"))
    assert waves([]) == ()


def test_a_cycle_is_told_by_its_path_and_passes_between_processes() -> None:
    with pytest.raises(CycleError, match=r"^a cycle: \('d', 1\) -> ") as error:
        waves([(("d", 1), ("e", 1)), (("e", 1), ("d", 1))])
    assert pickle.loads(pickle.dumps(error.value)).path == error.value.path


@given(LINKS, st.lists(NODES, max_size=3))
def test_reached_is_what_a_path_leads_to(links: Links, starts: list[int]) -> None:
    after = following(links)
    found = reached(after, starts)
    first = {node for start in starts for node in after.get(start, ())}
    assert first <= found
    assert {second for one, second in links if one in found} <= found
    # Nothing beyond that: what is left is reached again without each of the others.
    for node in found - first:
        assert any(one in found and second == node and one != node for one, second in links)


def test_a_start_is_reached_only_by_a_path_to_it() -> None:
    after = following([(1, 2), (2, 3), (5, 5)])
    assert reached(after, [1]) == {2, 3}
    assert reached(after, [5]) == {5}
    assert reached(after, [7]) == set()
