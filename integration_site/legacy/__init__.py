"""The routes and shapes of the earlier system, translated to and from those of the API.

Requests become those that the API takes, and its answers are given the fields and values that the
earlier clients read; the API itself knows nothing of it. All of it is off unless LEGACY_API is on.
"""
