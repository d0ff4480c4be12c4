"""The built site: no warning, without a network, and as a reader sees it in a browser."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browsers import Opened, needs_a_browser
from code_blocks import DOCS
from pages.loss import address, ours

HOME = DOCS.parent
BUILD = """
import socket, sys
def refuse(*arguments, **options):
    raise OSError("the network was asked for")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
from mkdocs.__main__ import cli
cli(["build", "--site-dir", sys.argv[1], "--config-file", sys.argv[2]])
"""


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(
        [sys.executable, "-c", BUILD, str(site), str(config)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=HOME,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(HOME / "mkdocs.yml", folder)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert [line for line in done.stderr.splitlines() if not line.startswith("INFO ")] == []
    return folder


def test_it_is_built_without_a_warning_and_without_a_network(site: Path):
    names = {page.relative_to(site).as_posix() for page in site.rglob("*.html")}
    assert {"index.html", "choose.html", "losses.html", "command-line.html", "references.html"} <= names
    assert {address(cls).replace(".md", ".html") for cls in ours()} <= names
    assert not [one for one in site.rglob("*") if one.suffix in (".py", ".yaml")]


def test_every_page_is_in_the_navigation(site: Path):
    pages = {page.relative_to(DOCS).with_suffix(".html").as_posix() for page in DOCS.rglob("*.md")}
    pages = {page.replace("README", "index") for page in pages}
    [bar] = re.findall(r'<nav class="md-nav md-nav--primary.*', (site / "index.html").read_text("utf-8"), re.DOTALL)
    assert pages - set(re.findall(r'href="([^"#]+)"', bar)) == set()


def test_a_page_loads_nothing_from_elsewhere(site: Path):
    """No script, style, font or picture; links in the text may lead out."""
    loads = r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=[\"']?((?:https?:)?//[^\"' >]+)"
    found = {url for page in site.rglob("*.html") for url in re.findall(loads, page.read_text(encoding="utf-8"))}
    assert found == set()
    styles = "".join(style.read_text(encoding="utf-8") for style in site.rglob("*.css"))
    assert re.findall(r"url\([\"']?(?:https?:)?//[^)]+\)|@import", styles) == []


def test_no_formula_and_no_source_is_left_as_it_was_typed(site: Path):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "arithmatex" not in text and "[@" not in text and "8&lt;--" not in text, page
    assert "<math" in (site / "losses" / "lorenz.html").read_text(encoding="utf-8")
    assert "contract (<code>src/whichloss/contract/</code>)" in (site / "check.html").read_text(encoding="utf-8")
    assert "class Soft(MarginLoss)" in re.sub(r"<[^>]+>", "", (site / "own-loss.html").read_text(encoding="utf-8"))


def test_a_loss_in_an_expression_leads_to_its_page(site: Path):
    choose = (site / "choose.html").read_text(encoding="utf-8")
    assert '<code><a href="losses/cross_entropy.html">CrossEntropy</a>() + <a href="losses/dice.html">Dice' in choose
    tversky = (site / "losses" / "tversky.html").read_text(encoding="utf-8")
    assert '<code>Tversky(fp=0.5, fn=0.5)</code> is <code><a href="../losses/dice.html">Dice</a>()' in tversky


def test_every_link_between_pages_leads_somewhere(site: Path):
    """The address and the place on the page."""
    known = {
        page: set(re.findall(r"\bid=\"?([^\"\s>]+)", page.read_text(encoding="utf-8"))) for page in site.rglob("*.html")
    }
    broken = []
    for page in known:
        if page.name == "404.html":
            continue
        for link in re.findall(r"<a\b[^>]*href=\"([^\"]+)\"", page.read_text(encoding="utf-8")):
            if "://" in link or link.startswith("mailto:"):
                continue
            name, _, place = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            target = target / "index.html" if target.is_dir() else target
            if target not in known or (place and place not in known[target]):
                broken.append(f"{page.name}: {link}")
    assert broken == []


def test_a_link_that_leads_nowhere_stops_the_build(tmp_path: Path):
    """To a page that is not there, and to a place that a page has not."""
    copied = tmp_path / "docs"
    shutil.copytree(DOCS, copied, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(HOME / "examples", tmp_path / "examples")
    shutil.copy(HOME / "mkdocs.yml", tmp_path)
    with (copied / "fair.md").open("a", encoding="utf-8") as fair:
        fair.write("\nSee [there](nowhere.md), [here](verdict.md#elsewhere) or [in it](../src/nothing.py).\n")
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    assert all(place in done.stderr for place in ("nowhere.md", "#elsewhere", "../src/nothing.py"))


# in a browser


@pytest.fixture
def open_page(browser: Any, site: Path) -> Iterator[Any]:
    opened: list[Opened] = []

    def open_one(name: str, width: int = 1100, scheme: str = "light") -> Opened:
        opened.append(Opened(browser, site / name, width, scheme))
        return opened[-1]

    yield open_one
    for one in opened:
        one.context.close()


@needs_a_browser
@pytest.mark.parametrize("name", ["index.html", "losses/lorenz.html", "choose.html", "verdict.html"])
def test_a_page_opens_from_disk_without_a_complaint(open_page, name: str):
    one = open_page(name)
    assert one.page.locator("h1").first.is_visible()
    assert (one.faults, one.fetched) == ([], [])


@needs_a_browser
def test_search_finds_a_loss_without_a_network(open_page):
    one = open_page("index.html")
    one.page.locator("input.md-search__input").click()
    one.page.keyboard.type("Lorenz")
    first = one.page.locator(".md-search-result__item a").first
    first.wait_for(state="visible")
    assert "lorenz" in first.text_content().lower()
    links = one.page.eval_on_selector_all(".md-search-result__item a", "all => all.map(one => one.href)")
    assert any("losses/lorenz.html" in link for link in links)
    first.click()
    one.page.wait_for_url("**/*.html*")
    assert (one.faults, one.fetched) == ([], [])


@needs_a_browser
def test_a_formula_is_drawn_and_a_curve_has_a_size(open_page):
    one = open_page("losses/lorenz.html")
    for what in ("math[display=block]", "figure.curves svg"):
        box = one.page.locator(what).first.bounding_box()
        assert box is not None and box["width"] > 100 and box["height"] > 15


PHONE = ["index.html", "losses/tversky.html", "losses.html", "choose.html", "coming-from.html", "command-line.html",
         "verdict.html", "results/index.html"]  # fmt: skip


@needs_a_browser
@pytest.mark.parametrize("name", PHONE)
def test_nothing_scrolls_sideways_on_a_phone(open_page, name: str):
    one = open_page(name, width=375)
    assert not one.too_wide and one.faults == []


@needs_a_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index.html", "losses/smooth_hinge.html", "coming-from.html"])
def test_axe_finds_no_fault_in_what_we_wrote(open_page, name: str, scheme: str):
    """In the text of the page; header, navigation, search and the buttons beside code are the theme's."""
    from axe_playwright_python.sync_playwright import Axe

    one = open_page(name, scheme=scheme)
    found = Axe().run(one.page, context={"include": [["article"]], "exclude": [[".md-code__nav"]]})
    assert found.violations_count == 0, found.generate_report()
