"""I1, I5, I6 and I7: what the rows of steps say of who wrote them and how often."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count, F, Max, Q, Value
from django.db.models.functions import Concat

from workflows.decide import call_at
from workflows.definition.step_paths import compensation_path
from workflows.engine.lease_recovery import MAX_DEATHS
from workflows.invariants.model import Page, Violation
from workflows.models import OPEN_STEP, TERMINAL, StepStatus

# A step that was compensated had completed.
_COMPLETED = (StepStatus.COMPLETED, StepStatus.COMPENSATED)
_SETTLED = (StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.SKIPPED)


def check_results(page: Page) -> Iterator[Violation]:
    """I1: one result per attempt, one COMPLETED attempt per place, and none open beside it."""
    attempts = page.steps.values("execution_id", "path", "attempt").annotate(rows=Count("id"))
    for found in attempts.filter(rows__gt=1):
        text = f"attempt {found['attempt']} has {found['rows']} rows."
        yield Violation("I1", str(found["execution_id"]), found["path"], text)
    places = page.steps.values("execution_id", "path").annotate(
        completed=Count("id", filter=Q(status__in=_COMPLETED)),
        open=Count("id", filter=Q(status__in=OPEN_STEP)),
    )
    for place in places.filter(Q(completed__gt=1) | Q(open__gt=1) | Q(completed=1, open=1)):
        text = f"{place['completed']} attempts are COMPLETED and {place['open']} open."
        yield Violation("I1", str(place["execution_id"]), place["path"], text)


def check_keys(page: Page) -> Iterator[Violation]:
    """I5: the key is made of execution and place, so all attempts must be of one place."""
    places = page.steps.values("execution_id", "path").annotate(
        steps=Count("step_id", distinct=True), scopes=Count("scope", distinct=True)
    )
    for found in places.filter(Q(steps__gt=1) | Q(scopes__gt=1)):
        text = "its attempts are of different steps, or in different branches."
        yield Violation("I5", str(found["execution_id"]), found["path"], text)
    rows = page.steps.exclude(path__startswith=compensation_path("")).annotate(
        inside=Concat("scope", Value("/"), "step_id")
    )
    top = Q(scope="") & (Q(path=F("step_id")) | Q(path__startswith=Concat("step_id", Value("#"))))
    below = Q(path=F("inside")) | Q(path__startswith=Concat("inside", Value("#")))
    for row in rows.exclude(top | (~Q(scope="") & below)):
        text = f"the path is not that of the step '{row.step_id}' in '{row.scope}'."
        yield Violation("I5", str(row.execution_id), row.path, text)


def check_fences(page: Page) -> Iterator[Violation]:
    """I6: what a stale holder would leave behind.

    A claim raises the fence, and so does every giving back. So a row whose holder died n times has
    seen 2 n, and one more if somebody settled it; the settling writes the fence that it held.
    """
    rows = page.steps.only("id", "execution_id", "path", "attempt", "status", "fence", "deaths")
    held = rows.exclude(status=StepStatus.RUNNING).filter(
        Q(lease_until__isnull=False) | ~Q(lease_owner="")
    )
    for row in held:
        yield _of_row("I6", row, f"it is {row.status} and still has a lease.")
    for row in rows.filter(Q(lease_owner="") | Q(fence=0), status=StepStatus.RUNNING):
        yield _of_row("I6", row, "it is RUNNING and nobody holds it.")
    short = Q(fence__lt=2 * F("deaths")) | Q(
        fence__lt=2 * F("deaths") + 1, deaths__gt=0, status__in=_SETTLED
    )
    for row in rows.filter(short):
        text = f"{row.deaths} holders died, yet it is {row.status} at fence {row.fence}."
        yield _of_row("I6", row, text)
    late = page.steps.filter(
        execution__status__in=TERMINAL, completed_at__gt=F("execution__completed_at")
    )
    for row in late:
        yield _of_row("I6", row, f"it was {row.status} after the execution had ended.")


def check_attempts(page: Page) -> Iterator[Violation]:
    """I7: attempts are within the policy, without gaps, and no row killed more than its share."""
    for row in page.steps.filter(deaths__gt=MAX_DEATHS):
        yield _of_row("I7", row, f"it was given out again after {row.deaths} deaths.")
    own = page.steps.filter(reused=False)
    places = own.values("execution_id", "path").annotate(rows=Count("id"), newest=Max("attempt"))
    for found in places.exclude(rows=F("newest")):
        text = f"it has {found['rows']} rows and the newest is attempt {found['newest']}."
        yield Violation("I7", str(found["execution_id"]), found["path"], text)
    again = own.filter(attempt__gt=F("retry_base") + 1).select_related("execution")
    for row in again.iterator(chunk_size=1000):
        definition = page.definition(row.execution.version_id)
        if definition is None or row.step_id not in definition.steps:
            continue
        most = call_at(definition, row.step_id, row.path).retry.max_attempts
        if most is not None and row.attempt - row.retry_base > most:
            text = f"attempt {row.attempt - row.retry_base} of at most {most}."
            yield _of_row("I7", row, text)


def _of_row(invariant: str, row: object, text: str) -> Violation:
    place = f"{row.path} (attempt {row.attempt})"  # type: ignore[attr-defined]
    return Violation(invariant, str(row.execution_id), place, text)  # type: ignore[attr-defined]
