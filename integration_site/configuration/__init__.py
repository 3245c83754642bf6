"""The environment variables of the hub: what each may be, and all that is wrong at once.

Needs the standard library alone, so that `./dev` can ask before anything is installed.
"""
