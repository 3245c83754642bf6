"""The kinds of incidents that filters name, as people type them in (pure)."""

from __future__ import annotations

from collections.abc import Sequence

from core.exceptions import ValidationFailed
from core.suggestions import did_you_mean
from monitoring.models import Subject


def read_subjects(values: Sequence[str]) -> list[str]:
    """Return kinds of incidents as they are kept.

    Raises:
        ValidationFailed: by paths such as `subjects[1]`.
    """
    read = []
    for place, value in enumerate(values):
        try:
            read.append(str(Subject.parse(value)))
        except ValueError:
            hint = did_you_mean(str(value), Subject.values)
            sentence = f"No kind of incident.{hint} Use some of: {', '.join(Subject.values)}."
            raise ValidationFailed.at(f"subjects[{place}]", sentence) from None
    return read
