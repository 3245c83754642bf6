"""Registers the site's own admin classes, where Django's autodiscovery looks for them."""

from integration_site.console import users_admin

__all__ = ["users_admin"]
