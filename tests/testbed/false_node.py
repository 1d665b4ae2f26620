"""A member with the key that behaves badly: it joins the gossip, takes jobs, and answers nonsense."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping

import aiohttp
from aiohttp import web

from dmoa_calibration.testbed.asking import INFER_PATH
from dmoa_calibration.testbed.helper import RESPONSE_PATH
from dmoa_calibration.testbed.protocol.authentication import Signer
from dmoa_calibration.testbed.protocol.gossip import GOSSIP_PATH
from dmoa_calibration.testbed.protocol.messages import GossipMessage, InferenceRequest, MemberRecord
from dmoa_calibration.testbed.protocol.secret_values import Secret

NONSENSE = b'{"v": 1, "text": [[[}\x00\xff not even JSON'


class FalseNode:
    """Heartbeats like a good one; ``signs`` says whether it acknowledges jobs properly before it sends nonsense back."""

    def __init__(self, name: str, key: str, others: Mapping[str, str], *, signs: bool) -> None:
        self._name, self._others, self._signs = name, others, signs
        self._signer = Signer(Secret(key.encode()), name)
        self.asked = 0
        self.refusals: list[int] = []
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._live()))

    def __enter__(self) -> FalseNode:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()

    async def _live(self) -> None:
        self._over = asyncio.Event()
        app = web.Application()
        app.router.add_post("/{rest:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self._url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as self._session:
            beats = asyncio.create_task(self._beat())
            self._started.set()
            await self._over.wait()
            beats.cancel()
            await asyncio.gather(beats, return_exceptions=True)
        await runner.cleanup()

    async def _beat(self) -> None:
        heartbeat = 0
        while True:
            heartbeat += 1
            own = MemberRecord(name=self._name, url=self._url, incarnation=int(time.time()), heartbeat=heartbeat)
            message = GossipMessage(sender=self._name, members=[own]).model_dump_json().encode()
            for url in self._others.values():
                await self._post(url, GOSSIP_PATH, message, "*")
            await asyncio.sleep(0.1)

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.path != INFER_PATH:
            return web.Response(body=NONSENSE)
        self.asked += 1
        if not self._signs:
            return web.Response(body=NONSENSE, status=202)
        job = InferenceRequest.model_validate_json(body)
        acknowledged = b"{}"
        headers = self._signer.sign_answer(request.headers["X-Dmoa-Nonce"], 202, acknowledged)
        lies = (
            NONSENSE,
            b'{"v": 2}',
            b'{"v": 1, "job": "' + job.job.encode() + b'", "query": "x", "stage": -1, "device": "y", "text": 5}',
            b'{"v":1,"job":"'
            + job.job.encode()
            + b'","query":"another","stage":0,"device":"'
            + self._name.encode()
            + b'","text":"t"}',
        )
        for lie in lies:
            self.refusals.append(await self._post(self._others[job.origin], RESPONSE_PATH, lie, job.origin))
        return web.Response(body=acknowledged, status=202, headers=headers)

    async def _post(self, url: str, path: str, body: bytes, receiver: str) -> int:
        headers = self._signer.sign("POST", path, body, receiver)
        try:
            async with self._session.post(url + path, data=body, headers=headers) as response:
                await response.read()
                return response.status
        except aiohttp.ClientError:
            return 0
