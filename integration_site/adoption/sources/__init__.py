"""Reads what a database of the earlier system holds, whichever kind of database that is."""

from __future__ import annotations

from integration_site.adoption.sources.base import BadSource, SourceDatabase
from integration_site.adoption.sources.connect import hub_source, open_source

__all__ = ["BadSource", "SourceDatabase", "hub_source", "open_source"]
