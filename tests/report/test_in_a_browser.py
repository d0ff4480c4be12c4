"""The page in a real browser, opened from disk, with nobody to ask on the network."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from whichloss.report import Picture, Record, page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
DOT = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63606060000000040001"
    "27340a0a0000000049454e44ae426082"
)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        running = started.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield running
        running.close()


class Opened:
    """A page in a context without a network, and what went wrong in it."""

    def __init__(self, browser: Any, file: Path, width: int = 1100, scheme: str = "light") -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda said: self.faults.append(said.text) if said.type in ("error", "warning") else 0)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())
        self.page.wait_for_function("document.querySelectorAll('.plot .main-svg').length > 0")


@pytest.fixture
def written(record: Record, tmp_path: Path) -> Path:
    shown = replace(record, pictures=(Picture(title="Candidates", caption="Two <b>views</b>", png=DOT),))
    file = tmp_path / "report.html"
    file.write_text(page(shown), encoding="utf-8")
    return file


@pytest.fixture
def opened(browser: Any, written: Path) -> Iterator[Opened]:
    one = Opened(browser, written)
    yield one
    one.context.close()


def test_it_opens_without_a_network_and_without_a_complaint(opened: Opened) -> None:
    assert opened.faults == []
    assert [url for url in opened.asked if not url.startswith(("file:", "data:", "blob:"))] == []


def test_what_is_read_is_the_verdict(opened: Opened, record: Record) -> None:
    """From the rows that a reader sees, against what verdict.json holds."""
    read = opened.page.eval_on_selector_all(".sentences p", "all => all.map(one => one.textContent)")
    assert read == record.verdict["sentences"]
    machine = json.loads(
        opened.page.eval_on_selector("script[type='application/json']#verdict", "one => one.textContent")
    )
    assert machine["comparisons"] == json.loads(json.dumps(record.verdict["comparisons"]))
    rows = opened.page.eval_on_selector_all(
        "#overview tbody tr", "all => all.map(row => [...row.children].map(cell => cell.innerText.trim()))"
    )
    decisions = {one["label"]: one["decision"] for one in record.verdict["comparisons"]}
    seen = {row[0]: row for row in rows}
    assert len(seen) == len(record.verdict["losses"])
    for label, decision in decisions.items():
        [row] = [cells for name, cells in seen.items() if name.replace("\u200b", "") == label]
        assert any(cell.endswith(decision) for cell in row)


def test_a_legend_is_worked_by_the_keyboard(opened: Opened) -> None:
    button = opened.page.locator(".legend button").first
    figure = button.get_attribute("data-of")
    loss = button.get_attribute("data-loss")
    visible = f"""() => document.getElementById({figure!r}).data
        .filter(one => one.meta === {loss!r}).map(one => one.visible !== false)"""
    before = opened.page.evaluate(visible)
    button.focus()
    opened.page.keyboard.press("Enter")
    opened.page.wait_for_function(f"({visible})().every(one => one === {json.dumps(not before[0])})")
    assert before and button.get_attribute("aria-pressed") == json.dumps(not before[0])


def test_a_table_is_sorted_by_the_keyboard(opened: Opened) -> None:
    keys = "all => all.map(cell => Number(cell.dataset.key))"
    head = opened.page.locator("#overview thead button", has_text="Mean")
    column = 1 + head.evaluate("one => [...one.closest('tr').children].indexOf(one.closest('th'))")
    cells = f"#overview tbody tr > :nth-child({column})[data-key]"
    head.focus()
    opened.page.keyboard.press("Enter")
    first = opened.page.eval_on_selector_all(cells, keys)
    opened.page.keyboard.press("Enter")
    second = opened.page.eval_on_selector_all(cells, keys)
    assert len(first) > 2 and first in (sorted(first), sorted(first, reverse=True)) and second == first[::-1]


def test_tab_reaches_everything_that_can_be_pressed(opened: Opened) -> None:
    wanted = opened.page.eval_on_selector_all("a[href], button", "all => all.filter(one => one.offsetParent).length")
    reached = set()
    for _ in range(3 * wanted + 50):
        opened.page.keyboard.press("Tab")
        reached.add(opened.page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
    pressable = opened.page.evaluate(
        "[...document.querySelectorAll('*')].flatMap((one, at) => one.matches('a[href], button') && one.offsetParent"
        " ? [at] : [])"
    )
    assert set(pressable) <= reached


@pytest.mark.parametrize("width", [375, 768, 1600])
def test_nothing_scrolls_sideways(browser: Any, written: Path, width: int) -> None:
    one = Opened(browser, written, width)
    wide, seen = one.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    one.context.close()
    assert wide <= seen and one.faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault(browser: Any, written: Path, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    one = Opened(browser, written, scheme=scheme)
    found = Axe().run(one.page)
    one.context.close()
    assert found.violations_count == 0, found.generate_report()


def test_it_prints(opened: Opened) -> None:
    pdf = opened.page.pdf(format="A4")
    pages = pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page/") + pdf.count(b"/Type /Page ")
    assert pdf.startswith(b"%PDF") and 3 <= pages <= 16


def test_what_a_user_named_is_text(browser: Any, record: Record, tmp_path: Path) -> None:
    nasty = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\">"
    file = tmp_path / "nasty.html"
    picture = Picture(title=nasty, caption=nasty, png=DOT)
    file.write_text(page(replace(record, study=nasty, question=nasty, pictures=(picture,))), encoding="utf-8")
    one = Opened(browser, file)
    title = one.page.title()
    one.context.close()
    assert title.startswith("<script>") and one.faults == []
