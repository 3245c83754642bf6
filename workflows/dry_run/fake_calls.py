"""Stands in for calls: the input is checked as for a real one, a mock gives the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from core.exceptions import SchemaViolation
from core.json.schema import Schema, first_of
from registry.calls.request import fit_input, prepare_request
from registry.calls.targets.connection_action import parse_connection_action
from registry.calls.targets.connection_targets import resolve_connection, with_action
from registry.calls.targets.resolver import CallTarget, ResolvedAction, resolve
from registry.exceptions import CallError
from workflows.decide import CallFailure, CallSuccess, Row
from workflows.definition import Step
from workflows.dry_run.mocks import Mocks, error_of
from workflows.dry_run.samples import sample_of

Resolver = Callable[[CallTarget, str], ResolvedAction]
# Where a request would go: only its path is filled in, as a check of the input.
_NOWHERE = "http://service"


@dataclass
class Calls:
    """Answers calls from mocks, and remembers what it doubts and what it made up."""

    mocks: Mocks
    resolver: Resolver = resolve
    warnings: dict[str, None] = field(default_factory=dict)
    mocked: set[str] = field(default_factory=set)
    sampled: set[str] = field(default_factory=set)
    _resolved: dict[tuple[str, str, str], ResolvedAction | CallError] = field(default_factory=dict)

    def call(self, step: Step, row: Row) -> CallSuccess | CallFailure:
        """Return the outcome of a call, as the engine would get it."""
        resolved = self._resolve(step)
        if isinstance(resolved, CallError):
            return self._answer_unchecked(step, row, resolved)
        row.service = resolved.service
        try:
            fitted = fit_input(
                resolved, row.input, policy=step.unknown_fields, trim=step.input is None
            )
            prepare_request(resolved, url=_NOWHERE, document=fitted.sent)
        except SchemaViolation as error:
            return CallFailure(error)
        for warning in fitted.warnings:
            self.doubt(step, warning["message"])
        mock = self.mocks.take(step.id)
        if mock is None:
            sample = self._sample(step, row, resolved.output_schema)
            return CallSuccess(sample, fitted.sent, resolved.service, warnings=fitted.warnings)
        self.mocked.add(row.id)
        if mock.error is not None:
            return CallFailure(error_of(mock.error, step, resolved.service))
        self._check_output(step, mock.output, resolved.output_schema)
        return CallSuccess(mock.output, fitted.sent, resolved.service, warnings=fitted.warnings)

    def doubt(self, step: Step, sentence: str) -> None:
        """Warn of something, once."""
        self.warnings[f"{step.id}: {sentence}"] = None

    def _resolve(self, step: Step) -> ResolvedAction | CallError:
        assert step.target is not None
        key = (step.target.kind, step.target.name, step.action or "")
        if key not in self._resolved and step.target.kind == "integration":
            self._resolved[key] = CallError("An integration is not executed in a dry run.")
        if key not in self._resolved:
            try:
                self._resolved[key] = self._find(*key)
            except CallError as error:
                self._resolved[key] = error
        return self._resolved[key]

    def _find(self, kind: str, name: str, action: str) -> ResolvedAction:
        if kind != "connection":
            return self.resolver(CallTarget(kind, name), action)
        method, path = parse_connection_action(action)
        return with_action(resolve_connection(name), method=method, path=path)

    def _answer_unchecked(
        self, step: Step, row: Row, error: CallError
    ) -> CallSuccess | CallFailure:
        """Answer for an action that is not registered: only a mock can tell anything of it."""
        mock = self.mocks.take(step.id)
        if mock is None:
            return CallFailure(error)
        self.mocked.add(row.id)
        self.doubt(step, f"Its input and its mock were not checked: {error.message}")
        if mock.error is not None:
            return CallFailure(error_of(mock.error, step, row.service))
        return CallSuccess(mock.output, row.input, row.service)

    def _sample(self, step: Step, row: Row, schema: Schema) -> Any:
        self.sampled.add(row.id)
        sample = sample_of(schema.document) if schema.document else {}
        problems = schema.problems(sample)
        if not schema.document:
            self.doubt(step, "It has no mock, and its action no output schema: its output is {}.")
        elif problems:
            sentence = f"The sample does not fit the output schema: {first_of(problems)} Mock it."
            self.doubt(step, sentence)
        else:
            self.doubt(step, "It has no mock: its output is a sample of the action's schema.")
        return sample

    def _check_output(self, step: Step, output: Any, schema: Schema) -> None:
        if problems := schema.problems(output):
            words = "The action could not answer this mock; output schema:"
            self.doubt(step, f"{words} {first_of(problems)}")
