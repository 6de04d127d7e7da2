"""Runs Rasa's graph node by node, in an order that is worked out once.

Rasa hands its graph to dask for each message and each prediction. Dask plans it anew every time and
moves each node through a pool of one, which took an eighth of a turn's time. The nodes, their
inputs and their results are Rasa's own and stay the same.
"""

from __future__ import annotations

from graphlib import TopologicalSorter
from typing import Any, Final

from rasa.core.processor import MessageProcessor
from rasa.engine.exceptions import GraphRunError
from rasa.engine.graph import ExecutionContext, GraphNodeHook, GraphSchema
from rasa.engine.runner.dask import DaskGraphRunner
from rasa.engine.runner.interface import GraphRunner
from rasa.engine.storage.storage import ModelStorage

_WHOLE: Final = "the schema's own targets"


class StraightGraphRunner(GraphRunner):  # type: ignore[misc]
    """A graph runner for prediction, in one thread. It takes over the nodes of Rasa's own runner."""

    def __init__(self, runner: DaskGraphRunner) -> None:
        """Take over a runner whose nodes are loaded."""
        self._schema: GraphSchema = runner._graph_schema
        self._nodes = runner._instantiated_nodes
        self._plans: dict[tuple[str, ...] | str, list[tuple[str, tuple[str, ...]]]] = {}

    @classmethod
    def create(
        cls,
        graph_schema: GraphSchema,
        model_storage: ModelStorage,
        execution_context: ExecutionContext,
        hooks: list[GraphNodeHook] | None = None,
    ) -> StraightGraphRunner:
        """Create the runner (see parent class)."""
        return cls(DaskGraphRunner.create(graph_schema, model_storage, execution_context, hooks))

    def run(self, inputs: dict[str, Any] | None = None, targets: list[str] | None = None) -> dict[str, Any]:
        """Run what the targets need (see parent class).

        Raises:
            GraphRunError: an input has the name of a node, or nobody gives an input that a node needs.
        """
        given = dict(inputs or {})
        done: dict[str, Any] = {name: (name, value) for name, value in given.items()}
        plan = self._plan(targets)
        for name, needs in plan:
            if name in given:
                raise GraphRunError(f"The input '{name}' has the name of a node.")
            try:
                handed = [done[need] for need in needs]
            except KeyError as error:
                raise GraphRunError(f"Nobody gives {error} to the node '{name}'.") from error
            done[name] = self._nodes[name](*handed)
        return dict(done[target] for target in targets or self._schema.target_names)

    def _plan(self, targets: list[str] | None) -> list[tuple[str, tuple[str, ...]]]:
        """The nodes that the targets need, each after what it needs itself."""
        key = tuple(targets) if targets else _WHOLE
        plan = self._plans.get(key)
        if plan is None:
            schema = self._schema.minimal_graph_schema(targets or self._schema.target_names)
            needs = {name: tuple(node.needs.values()) for name, node in schema.nodes.items()}
            ordered = TopologicalSorter(needs).static_order()
            plan = self._plans[key] = [(name, needs[name]) for name in ordered if name in needs]
        return plan


def run_straight(processor: MessageProcessor) -> None:
    """Put our runner in the place of Rasa's, once for each model."""
    if isinstance(processor.graph_runner, DaskGraphRunner):
        processor.graph_runner = StraightGraphRunner(processor.graph_runner)
