"""A stand-in for a Consul agent: the endpoints that the hub uses, as their documentation says.

It is an HTTP server of its own, keeps TTL checks by the clock, and refuses what it does not know.
"""

from __future__ import annotations

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


class ConsulAgent:
    """What the agent holds: services and their checks."""

    def __init__(self, *, token: str = "") -> None:
        self.token = token
        self.services: dict[str, dict[str, Any]] = {}
        self.checks: dict[str, dict[str, Any]] = {}
        self._server = AgentServer(self)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    # PUT /v1/agent/service/register
    def register(self, body: dict[str, Any]) -> tuple[int, Any]:
        if not body.get("Name"):
            return 400, "Missing service name"
        service_id = body.get("ID") or body["Name"]
        self.services[service_id] = body
        if check := body.get("Check"):
            found = re.fullmatch(r"(\d+)s", check.get("TTL", ""))
            if found is None:
                return 400, "Invalid check: TTL must be > 0 for TTL checks"
            check_id = check.get("CheckID") or f"service:{service_id}"
            self.checks[check_id] = {
                "CheckID": check_id,
                "ServiceID": service_id,
                "ServiceName": body["Name"],
                "Status": check.get("Status", "critical"),
                "Output": "",
                "ttl": int(found[1]),
                "due": time.monotonic() + int(found[1]),
            }
        return 200, None

    # PUT /v1/agent/service/deregister/:service_id
    def deregister(self, service_id: str) -> tuple[int, Any]:
        if self.services.pop(service_id, None) is None:
            return 404, f'Unknown service ID "{service_id}"'
        self.checks = {k: c for k, c in self.checks.items() if c["ServiceID"] != service_id}
        return 200, None

    # PUT /v1/agent/check/update/:check_id
    def update(self, check_id: str, body: dict[str, Any]) -> tuple[int, Any]:
        check = self.checks.get(check_id)
        if check is None:
            return 404, f'Unknown check ID "{check_id}". Ensure that the check ID is passed.'
        if body.get("Status") not in ("passing", "warning", "critical"):
            return 400, f"Invalid check status: '{body.get('Status')}'"
        # Longer outputs are cut to 4 KiB.
        output = body.get("Output", "").encode()[:4096].decode(errors="ignore")
        due = time.monotonic() + check["ttl"]
        self.checks[check_id] = {**check, "Status": body["Status"], "Output": output, "due": due}
        return 200, None

    # GET /v1/agent/checks
    def list_checks(self, query: dict[str, str]) -> tuple[int, Any]:
        wanted = None
        if "filter" in query:
            found = re.fullmatch(r'CheckID == "([^"]*)"', query["filter"])
            if found is None:
                return 400, "Failed to parse filter"
            wanted = found[1]
        shown = {k: self._shown(c) for k, c in self.checks.items() if wanted in (None, k)}
        return 200, shown

    def _shown(self, check: dict[str, Any]) -> dict[str, Any]:
        late = check["due"] < time.monotonic()
        news = {"Status": "critical", "Output": "TTL expired"} if late else {}
        return {k: v for k, v in {**check, **news}.items() if k not in ("ttl", "due")}


class Handler(BaseHTTPRequestHandler):
    """Hands requests to the agent of its server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: AgentServer

    def do_PUT(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self._may():
            path = unquote(urlsplit(self.path).path)
            self._change(path, json.loads(raw) if raw and raw != b"null" else {})

    def _change(self, path: str, body: dict[str, Any]) -> None:
        agent = self.server.agent
        for start, act in (
            ("/v1/agent/service/register", lambda _: agent.register(body)),
            ("/v1/agent/service/deregister/", agent.deregister),
            ("/v1/agent/check/update/", lambda rest: agent.update(rest, body)),
        ):
            if path.startswith(start):
                self._answer(*act(path.removeprefix(start)))
                return
        self._answer(404, "no such endpoint")

    def do_GET(self) -> None:
        if not self._may():
            return
        parts = urlsplit(self.path)
        query = {k: v[0] for k, v in parse_qs(parts.query).items()}
        path = unquote(parts.path)
        if path == "/v1/agent/checks":
            self._answer(*self.server.agent.list_checks(query))
        else:
            self._answer(404, "no such endpoint")

    def _may(self) -> bool:
        token = self.server.agent.token
        if token and self.headers.get("X-Consul-Token") != token:
            self._answer(403, "Permission denied")
            return False
        return True

    def _answer(self, status: int, body: Any) -> None:
        text = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args: Any) -> None:
        """Nothing is logged."""


class AgentServer(ThreadingHTTPServer):
    """The server of one agent."""

    daemon_threads = True

    def __init__(self, agent: ConsulAgent) -> None:
        self.agent = agent
        super().__init__(("127.0.0.1", 0), Handler)
