import core.db.moved_modules  # noqa: F401 (landed migrations import by former names)
