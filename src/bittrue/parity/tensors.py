"""The tensors that a stage can show, by the tensor of the source that each equals."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bittrue.compiler.program import Program
from bittrue.graph.model import Graph
from bittrue.network import BY_NAME
from bittrue.stages import Subject, stage_graph


@dataclass(frozen=True, slots=True)
class Tapped:
    """One inner tensor of a stage.

    Args:
        name: To tap it by.
        elements: How many it has.
    """

    name: str
    elements: int


def tensors_by_origin(subject: Subject, stage: str) -> dict[str, Tapped]:
    """Return the source's tensors that a stage still holds, in running order.

    Args:
        subject: What was opened.
        stage: One of its stages.

    Returns:
        By the source tensor's name: the stage's own tensor that equals it. Tensors of a program
        that equal none stand under their own name.
    """
    if BY_NAME[stage].arithmetic == "program":
        return _of_program(subject.program())
    if subject.network is None:
        return {}
    return _of_graph(stage_graph(subject.network, stage), own_names=stage != "source")


def _of_program(program: Program) -> dict[str, Tapped]:
    found: dict[str, Tapped] = {}
    for row in (program.tensors[index] for index in program.computed):
        tapped = Tapped(row.name, math.prod(row.shape))
        found.update(dict.fromkeys(row.origin or (row.name,), tapped))
    return found


def _of_graph(graph: Graph, *, own_names: bool) -> dict[str, Tapped]:
    """The stage `source` runs the source's file, so its tensors have the source's names."""
    found: dict[str, Tapped] = {}
    for node in graph.nodes:
        for name in node.outputs:
            value = graph.values.get(name)
            if value is not None:
                count = math.prod(value.shape)
                found.update(
                    (item, Tapped(name if own_names else item, count)) for item in value.origin
                )
    return found
