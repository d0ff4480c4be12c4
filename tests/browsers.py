"""Pages in a real browser, opened from disk, with nobody to ask on the network."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
WAIT = 120_000  # milliseconds that a slow machine may take

needs_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        running = started.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield running
        running.close()


class Opened:
    """A page in a context without a network, and what went wrong in it. `until`: what it has when it is drawn."""

    def __init__(
        self, browser: Any, file: Path, width: int = 1100, scheme: str = "light", until: str = "document.body"
    ) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT)
        self.faults: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda said: self.faults.append(said.text) if said.type in ("error", "warning") else 0)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())
        self.page.wait_for_function(until)

    @property
    def fetched(self) -> list[str]:
        """What it asked the network for."""
        return [url for url in self.asked if not url.startswith(("file:", "data:", "blob:"))]

    @property
    def too_wide(self) -> bool:
        """Whether it scrolls sideways."""
        wide, seen = self.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        return wide > seen
