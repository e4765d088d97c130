"""What became of each node of the source: found by comparing graphs, so that no pass can forget."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from bittrue.errors import FormatError
from bittrue.graph.model import Graph, Node
from bittrue.json_values import as_list, as_object, as_text, as_texts

#: What can become of a source node in one step.
FATES = ("kept", "fused", "folded", "removed", "split", "rewritten")


@dataclass(frozen=True, slots=True)
class Change:
    """What one step made of one source node.

    Args:
        stage_or_pass: Who did it.
        source: Name of the source's node.
        op: Its operator, as imported.
        fate: "kept" as it was; "fused" into one node with other source nodes; "folded" into
            constants; "removed" because it did nothing or nobody read it; "split" into more nodes
            than before; "rewritten" as another node or with other parameters.
        into: Names of the nodes that do its work afterwards.
        detail: The same in words.
    """

    stage_or_pass: str
    source: str
    op: str
    fate: str
    into: tuple[str, ...]
    detail: str


@dataclass(frozen=True, slots=True)
class History:
    """The trail of every source node through all steps.

    Args:
        sources: Each source node and its operator as imported, in running order.
        changes: In the order in which they happened; what a step kept is not listed.
        final: The nodes that do each source node's work at the end; empty for those without any.
    """

    sources: Mapping[str, str]
    changes: tuple[Change, ...]
    final: Mapping[str, tuple[str, ...]]

    def trail(self, source: str) -> tuple[Change, ...]:
        """Return what happened to one source node, step by step; one "kept" if nothing did.

        Raises:
            KeyError: if the source has no such node.
        """
        found = tuple(change for change in self.changes if change.source == source)
        if found:
            return found
        kept = f"{self.sources[source]} '{source}' stays as it is"
        return (Change("", source, self.sources[source], "kept", self.final[source], kept),)

    def fate(self, source: str) -> str:
        """Return a source node's fate over all steps: its last one that is no mere rewriting."""
        fates = [change.fate for change in self.trail(source)]
        telling = [fate for fate in fates if fate != "rewritten"]
        return (telling or fates)[-1]

    @property
    def structure_changes(self) -> bool:
        """Whether anything happened to any node: is the network that runs another graph?"""
        return bool(self.changes)

    def counts(self) -> dict[str, int]:
        """Return how many source nodes have each fate, in the order of FATES."""
        fates = [self.fate(source) for source in self.sources]
        return {fate: fates.count(fate) for fate in FATES}

    def followed_by(
        self, changes: Iterable[Change], final: Mapping[str, tuple[str, ...]]
    ) -> History:
        """Return this history with the changes of a further step."""
        return History(self.sources, (*self.changes, *changes), {**self.final, **final})


def begin(graph: Graph) -> History:
    """Return the history of a graph that nothing has happened to."""
    found = _by_source(graph)
    sources = {source: "+".join(node.op for node in nodes) for source, nodes in found.items()}
    return History(sources, (), {source: _names(nodes) for source, nodes in found.items()})


def record(history: History, step: str, before: Graph, after: Graph) -> History:
    """Return the history with what one step did, found by comparing the nodes' origins.

    Args:
        history: Up to `before`.
        step: Name of the pass.
        before: The graph that the step got.
        after: The graph that it returned.
    """
    old, new = _by_source(before), _by_source(after)
    stored = _stored(before, after)
    changes = []
    for source, op in history.sources.items():
        was, now = old.get(source, []), new.get(source, [])
        same = [_work(before, node) for node in was] == [_work(after, node) for node in now]
        fate = "kept" if same else _fate(was, now, stored)
        if fate != "kept":
            detail = _detail(op, source, fate, was, now)
            changes.append(Change(step, source, op, fate, _names(now), detail))
    return history.followed_by(changes, {source: _names(new.get(source, [])) for source in old})


def _by_source(graph: Graph) -> dict[str, list[Node]]:
    """Return the nodes that do the work of each source node, in running order."""
    found: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for source in node.origin:
            found.setdefault(source, []).append(node)
    return found


def _names(nodes: Iterable[Node]) -> tuple[str, ...]:
    return tuple(node.name for node in nodes)


def _stored(before: Graph, after: Graph) -> set[str]:
    """Return the values whose nodes went because their result, or a result of it, is constant."""
    stored = {name for node in before.nodes for name in node.outputs if name in after.constants}
    for node in reversed(before.nodes):
        if stored.intersection(node.outputs):
            stored.update(node.inputs)
    return stored


def _fate(was: list[Node], now: list[Node], stored: set[str]) -> str:
    if not now:
        results = [name for node in was for name in node.outputs]
        return "folded" if stored.intersection(results) else "removed"
    if len(now) > len(was):
        return "split"
    company = {source for node in was for source in node.origin}
    if any(not company.issuperset(node.origin) for node in now):
        return "fused"
    return "rewritten"


def _work(graph: Graph, node: Node) -> tuple[object, ...]:
    """Return what a node is: all but the names of its values. Constants are the arrays themselves.

    An array that a pass leaves alone is shared by both graphs, which are alive, so ids tell.
    """
    constants = [id(graph.constants[name]) for name in node.inputs if name in graph.constants]
    return node.name, node.op, len(node.inputs), constants, dict(node.attrs), set(node.origin)


def _detail(op: str, source: str, fate: str, was: list[Node], now: list[Node]) -> str:
    """Return a change as one sentence."""
    old = " and ".join(dict.fromkeys(node.op for node in was)) or "nothing"
    new = " and ".join(f"{node.op} '{node.name}'" for node in now)
    if fate == "folded":
        return f"{op} '{source}' reads only constants, its result is stored"
    if fate == "removed":
        return f"{op} '{source}' changes nothing that is read"
    if fate == "fused":
        others = [name for node in now for name in node.origin if name != source]
        return f"{old} is part of {new}, with {', '.join(dict.fromkeys(others))}"
    return f"{old} is now {new}{_attr_changes(was, now)}"


def _attr_changes(was: list[Node], now: list[Node]) -> str:
    """Return which attributes differ where one node of the same kind is left; else nothing."""
    if len(was) != 1 or len(now) != 1 or was[0].op != now[0].op:
        return ""
    old, new = was[0].attrs, now[0].attrs
    found = [f"{name} {old.get(name)} -> {new[name]}" for name in new if old.get(name) != new[name]]
    if len(was[0].inputs) != len(now[0].inputs):
        found.append(f"{len(was[0].inputs)} inputs -> {len(now[0].inputs)}")
    return f" ({'; '.join(found or ['other constants'])})"


# --- JSON --------------------------------------------------------------------------------------


def history_to_json(history: History) -> dict[str, object]:
    """Return the history as plain JSON values; `history_from_json` reads them back."""
    return {
        # Pairs, not an object: the running order must outlive writers that sort keys.
        "sources": [[name, op] for name, op in history.sources.items()],
        "changes": [{**asdict(change), "into": list(change.into)} for change in history.changes],
        "final": {source: list(names) for source, names in history.final.items()},
    }


def history_from_json(data: object, *, path: str = "") -> History:
    """Return the history that `history_to_json` wrote.

    Raises:
        FormatError: if a field is missing, unknown or of the wrong kind.
    """
    try:
        fields = as_object(data, "it")
        final = as_object(fields["final"], "final")
        return History(
            dict(_pair(row) for row in as_list(fields["sources"], "sources")),
            tuple(_change(row) for row in as_list(fields["changes"], "changes")),
            {source: as_texts(names, "final") for source, names in final.items()},
        )
    except (KeyError, TypeError, ValueError) as why:
        raise FormatError(f"the history cannot be read: {why}", path=path) from why


def _change(row: object) -> Change:
    fields = as_object(row, "a change")
    texts = {
        name: as_text(fields[name], name)
        for name in ("stage_or_pass", "source", "op", "fate", "detail")
    }
    if texts["fate"] not in FATES or len(fields) != len(texts) + 1:
        raise ValueError(f"{fields!r} is no change")
    return Change(into=as_texts(fields["into"], "into"), **texts)


def _pair(row: object) -> tuple[str, str]:
    name, op = as_texts(row, "a source")
    return name, op
