"""Documents become rows: all of them in one transaction, or none.

What is planned is what is done: a dry run does the same and takes it back, so that it is refused
what would be refused, and tells what would change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.views.decorators.debug import sensitive_variables
from rest_framework.exceptions import ValidationError

from core import audit
from core.api.errors import flatten
from core.db.locking import hold_word
from core.exceptions import IntegrationError, ValidationFailed
from core.json.equality import json_equal
from core.models import ManagedObject
from core.models.audit import object_type_of
from integration_site.manifests.documents import Manifest, read_manifests
from integration_site.manifests.kinds import KINDS, REPLACED, Kind, Secrets, kind_of

logger = structlog.get_logger(__name__)

LOCK = "manifests"
MOST_DOCUMENTS = 500
# One that names another which is not there yet is tried again: so long as a chain may be.
MOST_ROUNDS = 10
MOST_ERRORS = 50
CREATED, CHANGED, UNCHANGED, DELETED, LEFT = "created", "changed", "unchanged", "deleted", "left"
Errors = dict[str, list[str]]


@dataclass(frozen=True, kw_only=True)
class ApplyOptions:
    """How documents are applied."""

    owner: str
    prune: bool = False
    dry_run: bool = False
    take_over: bool = False
    secrets: Secrets = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class ManifestChange:
    """What becomes of one row: by field, what it was and what it is."""

    action: str
    kind: str
    name: str
    file: str
    document: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


class _Refusals(Exception):
    """What is refused, by where it is written."""

    def __init__(self, errors: Errors) -> None:
        super().__init__()
        self.errors = errors


@dataclass(frozen=True, slots=True)
class _Task:
    """Something that may have to wait for something else: a document, or a row that goes."""

    title: str
    run: Callable[[], ManifestChange]


class Application:
    """One application of files by one caller."""

    def __init__(self, request: Any, options: ApplyOptions) -> None:
        self._request, self._options = request, options
        self._marks = {
            (mark.object_type, mark.object_id): mark for mark in ManagedObject.objects.all()
        }
        self._seen: dict[tuple[str, Any], Manifest] = {}

    def run(self, manifests: Sequence[Manifest]) -> list[ManifestChange]:
        """Do what the documents say, and return what became of each row.

        Raises:
            ValidationFailed: something is refused; then nothing is done.
            PermissionDenied: the caller may not change a kind that is among them.
        """
        self._check_permission(manifests)
        tasks = [_Task(each.title, self._applying(each)) for each in manifests]
        left = list(self._left(manifests))
        if self._options.prune:
            words = [f"{kind.name} {kind.title_of(row)}" for kind, row in left]
            gone = [self._deleting(kind, row) for kind, row in left]
            return self._run_all(tasks + [_Task(*each) for each in zip(words, gone, strict=True)])
        return self._run_all(tasks) + [self._change(LEFT, kind, row) for kind, row in left]

    def _check_permission(self, manifests: Sequence[Manifest]) -> None:
        caller = self._request.user
        for name in {each.kind for each in manifests} & KINDS.keys():
            if not caller.may(scope := KINDS[name].write_scope):
                raise PermissionDenied(f"To apply a {name} takes the scope {scope}.")

    def _run_all(self, tasks: list[_Task]) -> list[ManifestChange]:
        """Run what can be run, again and again while that lets others be.

        Raises:
            ValidationFailed: something cannot be run; with what is wrong with each.
        """
        done: list[ManifestChange] = []
        for _ in range(MOST_ROUNDS):
            waiting: list[_Task] = []
            errors: Errors = {}
            for task in tasks:
                try:
                    done.append(self._run_one(task))
                except _Refusals as refusals:
                    waiting.append(task)
                    errors |= refusals.errors
            if not waiting:
                return done
            if len(waiting) == len(tasks):
                break
            tasks = waiting
        raise ValidationFailed.by_path(dict([*errors.items()][:MOST_ERRORS]))

    def _run_one(self, task: _Task) -> ManifestChange:
        try:
            with transaction.atomic():
                return task.run()
        except ValidationError as error:
            found = flatten(error.detail)
        except ValidationFailed as error:
            found = error.errors or {"": [error.message]}
        except IntegrationError as error:
            found = {"": [error.message]}
        except PermissionDenied as error:
            found = {"": [str(error) or "This caller may not do this."]}
        raise _Refusals(
            {", ".join(filter(None, (task.title, path))): said for path, said in found.items()}
        )

    def _applying(self, manifest: Manifest) -> Callable[[], ManifestChange]:
        def apply() -> ManifestChange:
            kind = kind_of(manifest)
            with audit.acting(_actor_of(manifest)):
                return self._apply(kind, manifest)

        return apply

    def _apply(self, kind: Kind, manifest: Manifest) -> ManifestChange:
        row = kind.find(manifest, self._request)
        if row is None:
            made = kind.create(manifest, self._request, self._options.secrets)
            fields = {name: [None, value] for name, value in kind.spec_of(made).items()}
            self._mark(kind, made, manifest)
            return self._change(CREATED, kind, made, manifest, fields)
        self._check_owner(kind, row)
        before, sealed = kind.spec_of(row), getattr(row, "ciphertext", "")
        after = kind.update(row, manifest, self._request, self._options.secrets)
        fields = _differences(before, kind.spec_of(after))
        if getattr(after, "ciphertext", "") != sealed:
            fields["secret"] = REPLACED
        self._mark(kind, after, manifest)
        return self._change(CHANGED if fields else UNCHANGED, kind, after, manifest, fields)

    def _check_owner(self, kind: Kind, row: Any) -> None:
        mark = self._marks.get(_key_of(kind, row))
        if mark is None or mark.owner == self._options.owner or self._options.take_over:
            return
        raise ValidationFailed.at(
            "name",
            f"It is managed by '{mark.owner}', from {mark.file}. Apply it there, or take it over.",
        )

    def _mark(self, kind: Kind, row: Any, manifest: Manifest) -> None:
        key = _key_of(kind, row)
        if other := self._seen.get(key):
            raise ValidationFailed.at("name", f"It is in {other.title} too.")
        mark = self._marks.get(key)
        wanted = {"owner": self._options.owner, "file": manifest.file}
        if mark is None or {name: getattr(mark, name) for name in wanted} != wanted:
            named = {"object_type": key[0], "object_id": key[1]}
            ManagedObject.objects.update_or_create(**named, defaults=wanted)
        self._seen[key] = manifest

    def _left(self, manifests: Sequence[Manifest]) -> Iterator[tuple[Kind, Any]]:
        """Yield the rows of this owner that no document is of; forget those that are gone."""
        for kind in KINDS.values():
            told = {kind.title_in(each).lower() for each in manifests if each.kind == kind.name}
            type = object_type_of(kind.model)
            owned = [
                row_id
                for (mark_type, row_id), mark in self._marks.items()
                if mark_type == type and mark.owner == self._options.owner
            ]
            rows = kind.all_rows().in_bulk(owned)
            if gone := [row_id for row_id in owned if row_id not in rows]:
                ManagedObject.objects.filter(object_type=type, object_id__in=gone).delete()
            for row in rows.values():
                if kind.title_of(row).lower() not in told:
                    yield kind, row

    def _deleting(self, kind: Kind, row: Any) -> Callable[[], ManifestChange]:
        def delete() -> ManifestChange:
            if not self._request.user.may(kind.write_scope):
                raise PermissionDenied(f"To delete it takes the scope {kind.write_scope}.")
            key, change = _key_of(kind, row), self._change(DELETED, kind, row)
            kind.delete(row, self._request)
            ManagedObject.objects.filter(object_type=key[0], object_id=key[1]).delete()
            return change

        return delete

    def _change(
        self,
        action: str,
        kind: Kind,
        row: Any,
        manifest: Manifest | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> ManifestChange:
        mark = self._marks.get(_key_of(kind, row))
        return ManifestChange(
            action=action,
            kind=kind.name,
            name=kind.title_of(row),
            file=manifest.file if manifest else mark.file if mark else "",
            document=manifest.number if manifest else None,
            fields=fields or {},
        )


@sensitive_variables()
def apply_files(
    files: Sequence[tuple[str, str]], request: Any, options: ApplyOptions
) -> list[ManifestChange]:
    """Make rows what the files say, and return what became of each; nothing of a dry run stays.

    Raises:
        ValidationFailed: something is refused, by file, document and field; then nothing is done.
        PermissionDenied: the caller may not change a kind that is among them.
    """
    manifests = _read_files(files)
    words = structlog.contextvars.bound_contextvars(dry_run=options.dry_run, owner=options.owner)
    with words, transaction.atomic():
        hold_word(LOCK)
        changes = Application(request, options).run(manifests)
        transaction.set_rollback(options.dry_run)
    logger.info("manifests_applied", owner=options.owner, dry_run=options.dry_run)
    return changes


def _read_files(files: Sequence[tuple[str, str]]) -> list[Manifest]:
    manifests: list[Manifest] = []
    errors: Errors = {}
    for file, text in files:
        try:
            manifests += read_manifests(file, text)
        except ValidationFailed as refusal:
            errors |= refusal.errors
    if errors:
        raise ValidationFailed.by_path(errors)
    if len(manifests) > MOST_DOCUMENTS:
        sentence = f"There are {len(manifests):,} documents; apply at most {MOST_DOCUMENTS} at once"
        raise ValidationFailed.at("files", f"{sentence}, under several owners.")
    return manifests


def _actor_of(manifest: Manifest) -> audit.Actor | None:
    actor = audit.current_actor()
    if actor is None or actor.reason:
        return actor
    return replace(actor, reason=f"Applied from {manifest.file}.")


def _key_of(kind: Kind, row: Any) -> tuple[str, Any]:
    return object_type_of(kind.model), row.pk


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    names = [*before, *(name for name in after if name not in before)]
    pairs = {name: [before.get(name), after.get(name)] for name in names}
    return {name: pair for name, pair in pairs.items() if not json_equal(*pair)}
