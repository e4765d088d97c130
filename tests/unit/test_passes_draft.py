"""A draft of a graph: who makes and reads what, names, order, and origins while it is rewritten."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bittrue.errors import InternalError
from bittrue.graph.model import Graph, Node
from bittrue.graph.verify import verify
from bittrue.passes.draft import Draft, make, merged, rewrite
from tests.graphs import GraphBuilder, ops


def chain(*outputs: str) -> Graph:
    """x > a (Relu) > b (Tanh) > c (Neg), and d (Abs) that reads a too."""
    b = GraphBuilder()
    a = b.add("Relu", b.input("x", (2, 3)), name="a")
    c = b.add("Neg", b.add("Tanh", a, name="b"), name="c")
    d = b.add("Abs", a, name="d")
    return b.graph(*(outputs or (c, d)))


def test_origins_are_merged_in_order_each_once() -> None:
    assert merged(("a", "b"), (), ("b", "c")) == ("a", "b", "c")


def test_a_draft_knows_who_makes_and_reads_a_value() -> None:
    draft = Draft(chain())
    maker = draft.producer("a:out")
    assert maker is not None
    assert maker.name == "a"
    assert draft.producer("x") is None
    assert [node.name for node in draft.readers("a:out")] == ["b", "d"]
    assert not draft.private("a:out")  # two read it
    assert draft.private("b:out")
    assert not Draft(chain("b:out", "c:out", "d:out")).private("b:out")  # it is an output too


def test_a_draft_leaves_its_graph_as_it_was_and_finishes_as_the_same_nodes() -> None:
    graph = chain()
    before = (graph.nodes, dict(graph.values))
    draft = Draft(graph)
    draft.replace([draft.node("b")], [make("b", "Sigmoid", ("a:out",), ("b:out",))])
    assert ops(draft.finish()) == ["Relu", "Sigmoid", "Neg", "Abs"]
    assert (graph.nodes, dict(graph.values)) == before
    assert Draft(graph).finish() == graph


def test_new_nodes_take_the_place_and_the_work_of_the_old_ones() -> None:
    draft = Draft(chain())
    old = [draft.node("b"), draft.node("c")]
    draft.replace(old, [make("c", "Sign", ("a:out",), ("c:out",))])
    after = draft.finish()
    assert [node.name for node in after.nodes] == ["a", "c", "d"]
    assert after.nodes[1].origin == ("b", "c")
    assert "b:out" not in after.values
    verify(after)


def test_new_nodes_stand_where_the_last_of_the_old_ones_stood() -> None:
    draft = Draft(chain())
    old = [draft.node("b"), draft.node("d")]
    draft.replace(old, old)
    assert [node.name for node in draft.in_order()] == ["a", "b", "c", "d"]


def test_nodes_put_first_run_before_all_others_in_the_order_given() -> None:
    draft = Draft(chain())
    loose = draft.new_value("loose", "float32", (2, 3))
    moved = draft.new_value("moved", "float32", (2, 3))
    draft.put_first([make("l", "Neg", ("x",), (loose,)), make("m", "Neg", ("x",), (moved,))])
    assert [node.name for node in draft.in_order()] == ["l", "m", "a", "b", "c", "d"]


def test_the_readers_of_one_value_read_another_instead() -> None:
    draft = Draft(chain())
    draft.read_instead("a:out", "x")
    assert [node.inputs for node in draft.finish().nodes] == [("x",), ("x",), ("b:out",), ("x",)]


def test_a_value_stands_in_for_an_equal_one_and_takes_its_origin() -> None:
    draft = Draft(chain())
    assert draft.stand_in(draft.node("b"), "a:out")
    after = draft.finish()
    assert [node.inputs for node in after.nodes] == [("x",), ("a:out",), ("a:out",)]
    assert after.values["a:out"].origin == ("a:out", "b:out")


def test_where_an_output_equals_a_value_that_value_is_made_under_the_outputs_name() -> None:
    draft = Draft(chain())
    assert draft.stand_in(draft.node("c"), "b:out")
    after = draft.finish()
    assert after.outputs == ("c:out", "d:out")
    assert after.nodes[1].outputs == ("c:out",)
    assert after.values["c:out"].origin == ("c:out", "b:out")


def test_nothing_stands_in_where_both_names_are_needed() -> None:
    graph = chain("b:out", "c:out", "a:out")
    draft = Draft(graph)
    assert not draft.stand_in(draft.node("c"), "b:out")  # both are outputs
    assert not draft.stand_in(draft.node("a"), "x")  # nobody makes x
    assert draft.finish().nodes == graph.nodes


def test_names_are_made_unique_among_nodes_and_values() -> None:
    draft = Draft(chain())
    assert draft.fresh("b") == "b_2"
    assert draft.fresh("b") == "b_3"
    assert draft.new_value("x", "float32", (1,)) == "x_2"
    assert draft.new_constant("x", np.zeros(1, np.float32)) == "x_3"


def test_a_nodes_own_constant_is_replaced_and_never_one_that_another_reads() -> None:
    draft = Draft(chain())
    node = draft.node("b")
    name = draft.own_constant(node, "w", np.zeros(2, np.float32))
    assert draft.own_constant(node, "w", np.ones(3, np.float32)) == name == "b/w"
    assert draft.shape(name) == (3,)
    draft.replace([draft.node("d")], [make("d", "Add", ("a:out", name), ("d:out",))])
    assert draft.own_constant(node, "w", np.zeros(1, np.float32)) == "b/w_2"
    assert np.array_equal(draft.constants[name], np.ones(3))


def test_a_circle_and_a_second_node_of_one_name_are_our_own_errors() -> None:
    draft = Draft(chain())
    draft.replace([draft.node("a")], [make("a", "Relu", ("c:out",), ("a:out",))])
    with pytest.raises(InternalError, match="circle"):
        draft.finish()
    with pytest.raises(InternalError, match="second node called 'b'"):
        Draft(chain()).put_first([make("b", "Neg", ("x",), ("other",))])


def test_trailing_inputs_that_are_left_out_go() -> None:
    assert make("n", "Conv", ("x", "w", "", ""), ("y",)).inputs == ("x", "w")
    assert make("n", "Conv", ("x", "w", "", "o"), ("y",)).inputs == ("x", "w", "", "o")


def test_a_rule_runs_until_nothing_changes_and_a_graph_without_changes_is_the_same() -> None:
    def drop_tanh(draft: Draft, node: Node) -> bool:
        return node.op == "Tanh" and draft.stand_in(node, node.inputs[0])

    graph = chain()
    assert ops(rewrite(graph, drop_tanh)) == ["Relu", "Neg", "Abs"]
    assert rewrite(graph, lambda draft, node: False) is graph


def test_a_node_that_was_replaced_is_not_held_any_more() -> None:
    draft = Draft(chain())
    node = draft.node("b")
    draft.add_origin(node, ("other",))
    assert not draft.holds(node)
    assert draft.node("b") == replace(node, origin=("b", "other"))
