"""The login of the admin: its form, which waits where logins fail, and what is told of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from unfold.forms import AuthenticationForm

from core import audit, logins
from core.durations import in_words
from core.models import ActorKind, AuditVerb

logger = structlog.get_logger(__name__)

DEVICE_COOKIE = "known_browser"
DEVICE_SECONDS = 365 * 24 * 3600


class LoginForm(AuthenticationForm):
    """Name and password, of which nothing is looked at while a wait is on."""

    # How long to wait, where that is why it was refused.
    delay: timedelta | None = None
    # What makes this browser known, once the person is.
    device_cookie: str = ""

    def clean(self) -> dict[str, Any]:
        name = self.cleaned_data.get("username")
        if not name or not self.cleaned_data.get("password"):
            return super().clean()
        self.request.login_form = self
        address = self.request.META.get("REMOTE_ADDR", "")
        device = logins.read_device(self.request.COOKIES.get(DEVICE_COOKIE, ""), name)
        try:
            attempt = logins.begin_attempt(name, address, device=device)
        except logins.LoginDelayed as error:
            logger.warning("login_delayed", address=address, seconds=error.delay.total_seconds())
            self.delay = error.delay
            raise ValidationError(_sentence(error.delay), code="delayed") from None
        try:
            cleaned: dict[str, Any] = super().clean()
        except ValidationError:
            _tell_failure(name, address, begins_delay=attempt.begins_delay)
            raise
        logins.take_back(attempt, name=name, address=address)
        self.device_cookie = logins.write_device(name, device)
        return cleaned


def _sentence(delay: timedelta) -> str:
    seconds = _whole_seconds(delay)
    wait = f"{seconds} s" if seconds < 60 else in_words(seconds)
    return f"Too many logins failed. Try again in {wait}; until then no password is looked at."


def _whole_seconds(delay: timedelta) -> int:
    """Return a delay in seconds, rounded up."""
    return -(-delay // timedelta(seconds=1))


def _tell_failure(name: str, address: str, *, begins_delay: bool) -> None:
    """Log a failure, and record the one that others of its kind will wait for.

    The same is done for a name that nobody has, so that the time it takes tells nothing; the name
    itself may be a password in the wrong field, and is kept nowhere.
    """
    user = User.objects.filter(username=name).first() or User(pk="", username="(no such user)")
    logger.warning("login_failed", address=address, user=user.username)
    if begins_delay:
        with audit.acting(audit.Actor(kind=ActorKind.ANONYMOUS, name=address or "unknown")):
            audit.record(AuditVerb.LOGIN_DELAYED, user)


def finish_login(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Answer 429 where a wait is on, and make the browser known in which a person logged in."""
    form = getattr(request, "login_form", None)
    if form is None:
        return response
    if form.delay is not None:
        response.status_code = 429
        response["Retry-After"] = str(_whole_seconds(form.delay))
    if form.device_cookie:
        response.set_cookie(
            DEVICE_COOKIE,
            form.device_cookie,
            max_age=DEVICE_SECONDS,
            path=request.path,
            secure=bool(settings.SESSION_COOKIE_SECURE),
            httponly=True,
            samesite="Strict",
        )
    return response
