"""The part of the demo that has models answer: a provider, a route, and a budget that runs out.

The provider is added on the pages of the admin, as a person would, for its key is a secret that
the key of this program may not set; all else is done over the API.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

import httpx2

from reference_services.console import say
from service_integration_client.strict_json import parse_json

JsonObject = dict[str, Any]

PROVIDER = "local-models"
KEY = "sk-local-demo"
ROUTE = "assistant"
TRIAL_PROJECT = "trial"
# Dear for a model of this size, so that charts and budgets have something to show.
PRICES = {"tiny-1": (150, 600), "tiny-1-large": (400, 1600), "tiny-embed": (20, 0)}
QUESTIONS = (
    "Is the search of the portal fast?",
    "Who tells the partners about the new interface?",
    "What should be better?",
    "How did the third quarter go?",
    "What is in the release?",
)
PROJECTS = ("support", "web-shop", TRIAL_PROJECT, "support", "reports")
SECONDS = 30.0
LONGEST_ANSWER = 80
OUTAGE_EVERY = 4

_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
ADMIN = "/admin/model_orchestration"


class PageRefusedError(Exception):
    """A form of the admin was not taken; the message says which."""


@dataclass(frozen=True)
class AdminLogin:
    """The login of a person."""

    username: str
    password: str

    @classmethod
    def of_environment(cls) -> AdminLogin | None:
        """Return the login that the supervisor hands on; None without one."""
        name, password = (os.environ.get(f"ADMIN_{part}") for part in ("USERNAME", "PASSWORD"))
        return cls(name, password) if name and password else None


class AdminPages:
    """Fills in forms of the admin."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def log_in(self, login: AdminLogin) -> None:
        fields = {"username": login.username, "password": login.password, "next": "/admin/"}
        await self.submit("/admin/login/", fields)

    async def read(self, path: str) -> str:
        answer = await self._http.get(path)
        answer.raise_for_status()
        return answer.text

    async def submit(self, path: str, fields: JsonObject) -> httpx2.Response:
        """Fill in the form of a page, and return the page that it leads to.

        Raises: PageRefusedError.
        """
        token = _TOKEN.search(await self.read(path))
        form = {**fields, "csrfmiddlewaretoken": token.group(1) if token else ""}
        origin = {"Referer": str(self._http.base_url.join(path))}
        answer = await self._http.post(path, data=form, headers=origin)
        answer.raise_for_status()
        if not answer.history:
            raise PageRefusedError(f"The form at {path} was not taken.")
        return answer


async def add_provider(pages: AdminPages, provider_url: str) -> None:
    """Add the provider with its key, and register the models. Raises: PageRefusedError."""
    connected = await pages.submit(
        f"{ADMIN}/model/connect/",
        {"provider": "CUSTOM", "name": PROVIDER, "base_url": f"{provider_url}/v1", "key": KEY},
    )
    offered = connected.url.raw_path.decode()
    await pages.submit(offered, {"models": [*PRICES], "id_prefix": ""})


_ROUTE: JsonObject = {
    "name": ROUTE,
    "description": "The small model, and the large one where it does not answer.",
    "strategy": "PRIORITY",
    "targets": [{"model": "tiny-1"}, {"model": "tiny-1-large"}],
}
_BUDGET: JsonObject = {
    "name": "trial-budget",
    "description": "Runs out on purpose: raise it, and the next question is answered.",
    "scope": "PROJECT",
    "subject": TRIAL_PROJECT,
    "period": "DAY",
    "request_limit": 3,
}


class DemoModels:
    """Has the provider added, then asks one question after the other.

    At times the first model of the route does not work, so that the second answers.
    """

    def __init__(
        self, http: httpx2.AsyncClient, *, api_key: str | None, login: AdminLogin | None
    ) -> None:
        self._http = http
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._login = login
        self._provider_url = ""
        self._asked = 0

    async def prepare(self, provider_url: str) -> None:
        """Set up what is asked later. Without a login that works, models are left out."""
        if self._login is None or self._provider_url:
            return
        try:
            if not await self._is_set_up():
                await self._set_up(self._login, provider_url)
                say(f"Added the provider {PROVIDER} and the route {ROUTE}")
        except (PageRefusedError, httpx2.HTTPStatusError) as error:
            say(f"Models are left out of the demo: {error}")
            self._login = None
            return
        self._provider_url = provider_url

    async def _is_set_up(self) -> bool:
        answer = await self._http.get(f"/api/models/routes/{ROUTE}", headers=self._headers)
        return answer.status_code == httpx2.codes.OK

    async def _set_up(self, login: AdminLogin, provider_url: str) -> None:
        pages = AdminPages(self._http)
        await pages.log_in(login)
        await add_provider(pages, provider_url)
        for model, (read, written) in PRICES.items():
            await self._create(f"/api/models/{model}/prices", {"input": read, "output": written})
        await self._create("/api/models/budgets", _BUDGET)
        await self._create("/api/models/routes", _ROUTE)
        # What is asked where nobody says which: by workflows, once no service of their type is up.
        await self._create("/api/models/routes", {**_ROUTE, "name": "default"})

    async def _create(self, path: str, fields: JsonObject) -> None:
        answer = await self._http.post(path, json=fields, headers=self._headers)
        answer.raise_for_status()

    async def ask(self) -> None:
        """Ask the next question, and say what came of it."""
        if not self._provider_url:
            return
        turn, self._asked = self._asked, self._asked + 1
        if turn % OUTAGE_EVERY == OUTAGE_EVERY - 1:
            fault = {"kind": "overloaded", "models": ["tiny-1"], "times": 2}
            await self._http.post(f"{self._provider_url}/_fault", json=fault)
        question = QUESTIONS[turn % len(QUESTIONS)]
        body = {
            "model": ROUTE,
            "max_tokens": LONGEST_ANSWER,
            "seed": turn,
            "messages": [{"role": "user", "content": question}],
        }
        headers = {**self._headers, "X-Project-ID": PROJECTS[turn % len(PROJECTS)]}
        answer = await self._http.post("/v1/chat/completions", json=body, headers=headers)
        say(_told(question, answer))


def _told(question: str, answer: httpx2.Response) -> str:
    """Return a line on an answer: who gave it and what it is, or why there is none."""
    body = parse_json(answer.content)
    assert isinstance(body, dict)
    if answer.status_code != httpx2.codes.OK:
        said = str((body.get("error") or {}).get("message", answer.status_code))
        return f"REFUSED    {ROUTE}: {said}"
    text = str(body["choices"][0]["message"]["content"])
    return f"ANSWERED   {ROUTE}: {question} {answer.headers.get('X-Model', '')}: {text[:90]}"
