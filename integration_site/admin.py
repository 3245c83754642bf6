"""What the site itself adds to the admin; found here by Django's autodiscovery."""

from integration_site.console import users_admin

__all__ = ["users_admin"]
