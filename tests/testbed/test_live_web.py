"""The web page of a node, in a real browser without a window."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from dmoa_calibration.testbed.launch import LocalNetwork
from dmoa_calibration.testbed.scenario_nodes import node_configs
from dmoa_theory import System
from tests.testbed.network_of_nodes import PATIENCE, reserved_ports

BROWSER = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
MISSING = "no chromium on this machine (Debian: apt-get install chromium): the web page was not tried in a browser"

pytestmark = pytest.mark.skipif(BROWSER is None, reason=MISSING)
async_api = pytest.importorskip("playwright.async_api", reason="Playwright is not installed: the web page was not tried")


def _in_browser(folder: Path, visit: Callable[[Any, LocalNetwork], Awaitable[None]]) -> None:
    """Three paced nodes, and a page of the first; what the page logs as an error fails the test."""

    async def run() -> None:
        everybody = [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
        system = System.from_arrays(everybody, 0.5, [0.02, 0.03, 0.04], M=2, k=1)
        configs = node_configs(system, folder, mode="paced", ports=reserved_ports(3))
        troubles: list[str] = []
        async with LocalNetwork(configs, folder) as network, async_api.async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"], timeout=1000 * PATIENCE)
            try:
                page = await browser.new_page(viewport={"width": 900, "height": 1200})
                page.set_default_timeout(1000 * PATIENCE)
                page.on("pageerror", lambda error: troubles.append(str(error)))
                page.on("dialog", lambda dialog: troubles.append(dialog.message))
                await page.goto(network.nodes[0].url)
                await visit(page, network)
            finally:
                await browser.close()
        assert troubles == []

    asyncio.run(run())


async def _enter(page: Any, network: LocalNetwork) -> None:
    await page.fill("#token", network.token)
    await page.click("#door button")
    await page.wait_for_selector("#inside:not([hidden])")


def test_the_page_asks_and_shows_every_layer(tmp_path: Path) -> None:
    """State and members, proposals of both layers, the answer; what a prompt holds stays text. Prints where its picture is."""
    prompt = 'Why <img src="x" onerror="alert(1)"> do queues grow?'

    async def visit(page: Any, network: LocalNetwork) -> None:
        await _enter(page, network)
        assert await page.inner_text("#name") == "device-0"
        await page.locator("#members .alive").nth(2).wait_for()
        await page.fill("#prompt", prompt)
        await page.click("#send")
        await page.wait_for_selector("#answer:not([hidden])")
        assert await page.locator(".layer").count() == 2
        assert await page.locator(".layer .proposal").count() == 4
        assert (await page.inner_text("#final")).strip()
        assert "answered after" in await page.inner_text("#state")
        assert await page.locator("main img").count() == 0
        await page.locator("#done", has_text="1").wait_for()
        await page.wait_for_selector("#chart path.jobs", state="attached")
        picture = Path(os.environ.get("DMOA_TEST_PICTURES", tmp_path)) / "node_page.png"
        await page.screenshot(path=str(picture), full_page=True)
        print(picture)

    _in_browser(tmp_path, visit)


def test_the_page_lets_nobody_in_without_the_token(tmp_path: Path) -> None:
    """Before the token nothing is shown; a wrong one is told of; the right one is not kept in the page."""

    async def visit(page: Any, network: LocalNetwork) -> None:
        await page.wait_for_selector("#door:not([hidden])")
        assert await page.is_hidden("#inside")
        await page.fill("#token", "wrong")
        await page.click("#door button")
        await page.locator("#trouble", has_text="not the token").wait_for()
        assert await page.is_hidden("#inside")
        await _enter(page, network)
        assert network.token not in await page.content()
        assert await page.is_hidden("#trouble")

    _in_browser(tmp_path, visit)


def test_an_address_with_the_token_lets_in_and_does_not_keep_it(tmp_path: Path) -> None:
    """What ``dmoa testbed --live`` prints: no door, and no token in the address or the page; a reload stays inside."""

    async def visit(page: Any, network: LocalNetwork) -> None:
        await page.goto("about:blank")
        await page.goto(network.page())
        await page.wait_for_selector("#inside:not([hidden])")
        assert await page.is_hidden("#door")
        assert network.token not in page.url
        assert network.token not in await page.content()
        await page.reload()
        await page.wait_for_selector("#inside:not([hidden])")

    _in_browser(tmp_path, visit)


def test_a_node_that_is_gone_is_told_of(tmp_path: Path) -> None:
    """The page says that the node does not answer, and goes on trying."""

    async def visit(page: Any, network: LocalNetwork) -> None:
        await _enter(page, network)
        node = network.nodes[0]
        node.process.kill()
        await node.process.wait()
        await page.locator("#trouble", has_text="does not answer").wait_for()
        await network.restart(0)
        await page.locator("#trouble").wait_for(state="hidden")

    _in_browser(tmp_path, visit)
