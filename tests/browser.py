"""A headless Chromium, driven over its debugging protocol: just what the tests of the live page need."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Tab:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []
        """What the page's scripts raised, and what its policy refused."""

    async def call(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async for message in self._socket:
            said = json.loads(message.data)
            if said.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.complaints.append(json.dumps(said["params"]))
            if said.get("id") == number:
                assert "error" not in said, said
                return said["result"]
        raise AssertionError("the tab has gone")

    async def open(self, url: str) -> None:
        await self.call("Runtime.enable")
        await self.call("Log.enable")
        await self.call("Page.navigate", url=url)

    async def value(self, script: str) -> Any:
        """What a script comes to in the page."""
        said = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    async def until(self, script: str, seconds: float = 30) -> Any:
        """Waits until a script comes to something."""
        for _ in range(int(seconds / 0.05)):
            if found := await self.value(f"(() => {{ try {{ return !!({script}) }} catch {{ return false }} }})()"):
                return found
            await asyncio.sleep(0.05)
        raise AssertionError(f"{script} never came: {await self.value('document.body.innerText')}")

    async def click(self, words: str) -> None:
        """Clicks the button that says this."""
        button = f"[...document.querySelectorAll('button')].find(one => one.innerText.includes({json.dumps(words)}))"
        await self.until(f"{button}?.disabled === false && {button}.offsetParent")
        await self.value(f"{button}.click()")

    async def picture(self, path: Path, width: int, height: int) -> None:
        """Saves a picture of the page at this size."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        await asyncio.sleep(0.2)
        path.write_bytes(base64.b64decode((await self.call("Page.captureScreenshot"))["data"]))


class Browser:
    """A running browser."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self._session = session
        self._address = address

    async def tab(self, url: str) -> Tab:
        """A new tab that shows a page."""
        async with self._session.put(f"http://{self._address}/json/new?about:blank") as answer:
            target = await answer.json()
        tab = Tab(await self._session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0))
        await tab.open(url)
        return tab


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """A browser with a profile of its own."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            port = Path(profile, "DevToolsActivePort")
            for _ in range(600):
                if port.is_file() and "\n" in port.read_text():
                    break
                await asyncio.sleep(0.05)
            async with aiohttp.ClientSession() as session:
                yield Browser(session, f"127.0.0.1:{port.read_text().split()[0]}")
        finally:
            process.kill()
            await process.wait()
