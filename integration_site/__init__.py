"""The Django project that joins the apps.

Imports nothing: `./dev` reads parts of it before any package is installed.
"""
