"""The mailbox of the demo: what it takes, and what its page shows."""

import json

import pytest
from aiohttp.test_utils import TestClient, TestServer

from reference_services.mailbox import HOOK, KEY, MOST_MESSAGES, Mailbox, build_mailbox
from service_integration_client.webhook_signature import sign_webhook

NOW = 1_790_000_000


def alert(**changes):
    return {
        "type": "alert.firing",
        "id": "m1",
        "severity": "CRITICAL",
        "group_key": "g",
        "title": "<b>shop</b> is down",
        "text": "Since noon.",
        "link": "http://hub/admin/",
        "incidents": [],
        **changes,
    }


def signed(message, *, key=KEY, at=NOW):
    body = json.dumps(message).encode()
    return {"data": body, "headers": sign_webhook(key, body, message_id="w", timestamp=at)}


@pytest.fixture
async def mailbox():
    app = build_mailbox(Mailbox(clock=lambda: NOW + 90))
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_page_shows_each_message_once_and_as_text(mailbox):
    for message in (alert(), alert(), alert(id="m2", type="alert.resolved", link="javascript:x")):
        assert (await mailbox.post(HOOK, **signed(message))).status == 204
    page = await (await mailbox.get("/")).text()
    assert page.count("<article") == 2
    assert "&lt;b&gt;shop" in page and "javascript:" not in page
    assert page.index(">Resolved<") < page.index(">Critical<")
    listed = await (await mailbox.get("/messages")).json()
    assert [each["id"] for each in listed["items"]] == ["m2", "m1"]


REFUSED = {
    "another key": (signed(alert(), key="whsec_bm90IHRoZSBrZXkgb2YgaXQ="), 401),
    "too old": (signed(alert(), at=NOW - 900), 401),
    "no signature": ({"data": b"{}"}, 401),
    "no alert": (signed({"id": "m1"}), 400),
    "no object": (signed([]), 400),
}


@pytest.mark.parametrize(("sent", "status"), REFUSED.values(), ids=REFUSED)
async def test_what_is_no_signed_alert_is_refused(mailbox, sent, status):
    assert (await mailbox.post(HOOK, **sent)).status == status
    assert (await (await mailbox.get("/messages")).json())["items"] == []


async def test_only_the_last_messages_are_kept(mailbox):
    for number in range(MOST_MESSAGES + 2):
        await mailbox.post(HOOK, **signed(alert(id=str(number))))
    listed = await (await mailbox.get("/messages")).json()
    assert len(listed["items"]) == MOST_MESSAGES and listed["items"][-1]["id"] == "2"


async def test_empty_page_says_how_to_get_a_message(mailbox):
    assert "stop_for_a_while" in await (await mailbox.get("/")).text()
