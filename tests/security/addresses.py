"""Addresses that must not be called, given in every way that an address can be given."""

from __future__ import annotations

import socket
import threading
from typing import Any

from tests import factories
from tests.security.findings import Findings
from tests.security.world import ALLOWED, Caller
from tests.support.hostile_urls import hostile_urls
from tests.support.real_hub import Hub

SECTION, REACHED = "addresses, posted and patched", "addresses, called"


class Trap:
    """Listens on the loopback network and counts who comes."""

    def __init__(self) -> None:
        self.reached = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.reached += 1
            connection.close()

    def close(self) -> None:
        self._server.close()


def run(caller: Caller, findings: Findings, hub: Hub) -> None:
    """Give each address where one is taken; what is taken is called, and may reach nobody."""
    trap = Trap()
    text = factories.make_key("OPERATOR", name="of-addresses")[1]
    headers = {"Authorization": f"Bearer {text}"}

    def send(method: str, path: str, body: Any = None) -> Any:
        return caller.send(method, path, headers=headers, json=body)

    good = f"http://{ALLOWED}:9"
    service = {"name": "addressed", "url": good, "actions": ["act"]}
    connection = {"name": "addressed", "type": "HTTP", "base_url": good}
    for path, body in (("/registry/services", service), ("/registry/connections", connection)):
        made = send("POST", path, body)
        assert made.status_code == 201, made.text
    for number, url in enumerate(hostile_urls(trap.port)):
        _try_service(send, findings, number, url)
        _try_connection(send, findings, number, url)
        before = trap.reached
        findings.hold(REACHED, before == 0, f"{url} was called")
        trap.reached = 0
    trap.close()


def _try_service(send: Any, findings: Findings, number: int, url: str) -> None:
    name = f"address-{number}"
    posted = send("POST", "/services", {"name": name, "url": url, "actions": ["act"]})
    patched = send("PATCH", "/services/addressed", {"url": url})
    health = send("PATCH", "/services/addressed", {"health_url": url})
    # An empty health URL is none.
    for word, other in (("url", patched), *([("health_url", health)] if url else [])):
        same = (posted.status_code < 300) == (other.status_code < 300)
        sentence = f"{url}: POST {posted.status_code}, PATCH of {word} {other.status_code}"
        findings.hold(SECTION, same and other.status_code < 500, sentence)
    if posted.status_code < 300:
        send("POST", f"/services/{name}/actions/act/execute", {"timeout": 1})
    if patched.status_code < 300:
        send("POST", "/services/addressed/actions/act/execute", {"timeout": 1})


def _try_connection(send: Any, findings: Findings, number: int, url: str) -> None:
    name, path = f"address-{number}", "/registry/connections"
    posted = send("POST", path, {"name": name, "type": "HTTP", "base_url": url,
                                 "config": {"timeout_seconds": 1}})  # fmt: skip
    patched = send("PATCH", f"{path}/addressed", {"base_url": url})
    same = (posted.status_code < 300) == (patched.status_code < 300)
    sentence = f"{url}: connection POST {posted.status_code}, PATCH {patched.status_code}"
    findings.hold(SECTION, same and patched.status_code < 500, sentence)
    for taken, place in ((posted, name), (patched, "addressed")):
        if taken.status_code < 300:
            send("POST", f"{path}/{place}/test")
