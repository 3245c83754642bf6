"""A service that counts what it is told: `python -m tests.faults.receiver PORT`.

`POST /act` does an effect once per `Idempotency-Key`, however often it is delivered, and counts the
deliveries beside it, as a careless service would have done the effect each time. What the body
says under `do` makes it answer badly: `fail_first` with 503 to the first delivery of a key,
`refuse` with 400, `stumble` with 503 to some. `POST /told` takes alert messages.
`GET /receipts` gives a JSON line per delivery.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter

from aiohttp import web

SHARE_STUMBLED = 0.05


class Receiver:
    """What came, and what was done."""

    def __init__(self) -> None:
        self.deliveries: Counter[str] = Counter()
        self.answers: dict[str, dict[str, object]] = {}
        self.receipts: list[dict[str, str]] = []
        self.careless = 0

    async def act(self, request: web.Request) -> web.Response:
        body, key = await request.json(), request.headers["Idempotency-Key"]
        self.deliveries[key] += 1
        place = body["place"] + (f"/{body['index']}" if body.get("index") is not None else "")
        self.receipts.append(
            {"execution_id": body["execution"], "path": place, "idempotency_key": key}
        )
        await asyncio.sleep(body.get("ms", 0) / 1000)
        behaviour = body.get("do", "")
        if behaviour == "refuse":
            return web.json_response({"error": "no"}, status=400)
        if self._fails(behaviour, key):
            return web.json_response({"error": "not now"}, status=503)
        self.careless += 1
        # The effect: one number per key, drawn once.
        return web.json_response(self.answers.setdefault(key, {"effect": len(self.answers)}))

    def _fails(self, behaviour: str, key: str) -> bool:
        if behaviour == "fail_first":
            return self.deliveries[key] == 1
        return behaviour == "stumble" and random.random() < SHARE_STUMBLED

    async def take_alert(self, request: web.Request) -> web.Response:
        """Note an alert message, as a channel does that tells a second time by its key."""
        body, key = await request.json(), request.headers["Idempotency-Key"]
        about = ",".join(each["about"] for each in body["incidents"])
        self.receipts.append({"idempotency_key": key, "type": body["type"], "about": about})
        return web.Response()

    async def counts(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "deliveries": sum(self.deliveries.values()),
                "effects": len(self.answers),
                "careless_effects": self.careless,
            }
        )

    async def read_receipts(self, _: web.Request) -> web.Response:
        return web.Response(text="\n".join(json.dumps(r) for r in self.receipts))


async def serve(port: int) -> None:
    receiver, app = Receiver(), web.Application()
    app.router.add_post("/act", receiver.act)
    app.router.add_post("/told", receiver.take_alert)
    app.router.add_get("/counts", receiver.counts)
    app.router.add_get("/receipts", receiver.read_receipts)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
