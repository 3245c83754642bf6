"""Decides what a tick of a schedule does (pure)."""

from workflows.schedules.due_ticks import Doing, ScheduleActivity, may_work_off, on_tick, sort_due

__all__ = ["Doing", "ScheduleActivity", "may_work_off", "on_tick", "sort_due"]
