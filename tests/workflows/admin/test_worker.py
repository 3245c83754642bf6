"""Workers in the admin."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from workflows.models import Worker

pytestmark = [pytest.mark.django_db, pytest.mark.once]


def test_workers_are_listed_with_their_state(client):
    client.force_login(get_user_model().objects.create_superuser("ann", password="x"))
    now = timezone.now()
    Worker.objects.create(name="one", seen_at=now)
    Worker.objects.create(name="two", seen_at=now - timedelta(minutes=5))
    page = client.get("/admin/workflows/worker/").content.decode()
    assert page.index("one") < page.index("two")
    assert "Up" in page
    assert "Silent" in page
