"""The page in a real browser, opened from disk, with nobody to ask on the network."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from edges import ARABIC, LONG, NASTY, alone, failed, named
from large import labels, large
from supplements import everything

import browsers
from browsers import WAIT, needs_a_browser
from whichloss.report import Picture, Recipe, Record, page

DOT = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63606060000000040001"
    "27340a0a0000000049454e44ae426082"
)

pytestmark = needs_a_browser
DRAWN = "document.querySelectorAll('.plot .main-svg').length > 0"


class Opened(browsers.Opened):
    """The page of a study, its figures drawn."""

    def __init__(self, browser: Any, file: Path, width: int = 1100, scheme: str = "light") -> None:
        super().__init__(browser, file, width, scheme, until=DRAWN)


@pytest.fixture
def written(record: Record, tmp_path: Path) -> Path:
    shown = replace(record, pictures=(Picture(title="Candidates", caption="Two <b>views</b>", png=DOT),))
    file = tmp_path / "report.html"
    file.write_text(page(shown), encoding="utf-8")
    return file


@pytest.fixture
def full(record: Record) -> Record:
    """With a picture and something tuned, so that every part of the page is there."""
    recipe = Recipe("Lorenz()", "Lorenz()", "Adam", {"lr": 0.1}, "segmentation", 2, 1, settings={"training.lr": 0.1})
    return replace(record, recipes=(recipe,), pictures=(Picture(title="Candidates", caption="Two views", png=DOT),))


@pytest.fixture
def busy(full: Record, tmp_path: Path) -> Path:
    file = tmp_path / "busy.html"
    file.write_text(page(large(full)), encoding="utf-8")
    return file


@pytest.fixture
def crowd(browser: Any, busy: Path) -> Iterator[Opened]:
    """The page of 20 losses."""
    one = Opened(browser, busy)
    yield one
    one.context.close()


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_beside_the_verdict_is_at_fault(browser: Any, record: Record, tmp_path: Path, scheme: str) -> None:
    """Tables, sentences and the diagram of ranks, on a phone."""
    from axe_playwright_python.sync_playwright import Axe

    file = tmp_path / "beside.html"
    file.write_text(page(replace(record, verdict=everything(), results=(), curves=())), encoding="utf-8")
    one = Opened(browser, file, 375, scheme)
    found = Axe().run(one.page)
    wide, seen = one.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    drawn = one.page.locator("#critical-difference .main-svg").count()
    reached = one.page.eval_on_selector_all("a[href='#outlook']", "all => all.length")
    one.context.close()
    assert found.violations_count == 0, found.generate_report()
    assert wide <= seen and drawn and reached == 1 and one.faults == []


def test_it_prints(opened: Opened) -> None:
    assert 3 <= pdf_pages(opened) <= 16


def test_what_a_user_named_is_text(browser: Any, record: Record, tmp_path: Path) -> None:
    nasty = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\">"
    file = tmp_path / "nasty.html"
    picture = Picture(title=nasty, caption=nasty, png=DOT)
    file.write_text(page(replace(record, study=nasty, question=nasty, pictures=(picture,))), encoding="utf-8")
    one = Opened(browser, file)
    title = one.page.title()
    one.context.close()
    assert title.startswith("<script>") and one.faults == []


# --- everything by the keyboard ---


def shown_rows(one: Opened, table: str) -> list[str]:
    return one.page.eval_on_selector_all(
        f"#{table} tbody tr", "all => all.filter(row => row.offsetParent).map(row => row.cells[0].textContent.trim())"
    )


def test_a_table_is_filtered_and_sorted_by_the_keyboard(crowd: Opened) -> None:
    """20 losses: typing leaves the rows that hold every word, sorting keeps them, and the count is announced."""
    field, said = crowd.page.locator("#overview-filter"), crowd.page.locator(".filter output[for=overview-filter]")
    assert crowd.page.locator("label[for=overview-filter]").is_visible() and said.get_attribute("aria-live") == "polite"
    assert said.text_content() == "20 of 20 rows"
    field.focus()
    crowd.page.keyboard.type("TVERSKY fn=0.")
    found = shown_rows(crowd, "overview")
    assert sorted(found) == sorted(label for label in labels() if label.startswith("Tversky"))
    assert said.text_content() == f"{len(found)} of 20 rows"
    crowd.page.locator("#overview thead button", has_text="Loss").focus()
    crowd.page.keyboard.press("Enter")
    crowd.page.keyboard.press("Enter")
    assert shown_rows(crowd, "overview") == sorted(found, key=str.lower, reverse=True)
    field.fill("no such loss")
    assert shown_rows(crowd, "overview") == [] and said.text_content() == "0 of 20 rows"
    field.fill("-0.05")  # as people type a minus
    assert shown_rows(crowd, "overview")
    crowd.page.emulate_media(media="print")
    assert len(shown_rows(crowd, "overview")) == 20 and not field.is_visible()
    crowd.page.emulate_media(media="screen")
    field.fill("")
    assert len(shown_rows(crowd, "overview")) == 20 and crowd.faults == []


def test_a_short_table_has_no_filter(opened: Opened) -> None:
    assert opened.page.locator(".filter").count() == 0


def test_tabs_are_turned_by_the_keyboard_and_all_are_printed(crowd: Opened) -> None:
    panels, tabs = crowd.page.locator(".panel"), crowd.page.locator("[role=tab]")
    names = tabs.all_text_contents()
    assert names == ["PyTorch", "Lightning", "MONAI", "nnU-Net"]

    keys = {"ArrowRight": "Lightning", "End": "nnU-Net", "ArrowLeft": "MONAI", "Home": "PyTorch"}
    tabs.first.focus()
    for key, name in keys.items():
        crowd.page.keyboard.press(key)
        assert crowd.page.evaluate("document.activeElement.textContent") == name
        assert [tab.get_attribute("aria-selected") for tab in tabs.all()] == [json.dumps(one == name) for one in names]
        assert [panel.is_visible() for panel in panels.all()] == [one == name for one in names]
    crowd.page.keyboard.press("Tab")
    crowd.page.keyboard.press("Enter")
    assert [panel.is_visible() for panel in panels.all()] == [False, True, False, False]
    crowd.page.emulate_media(media="print")
    assert all(panel.is_visible() for panel in panels.all()) and not tabs.first.is_visible()
    assert crowd.page.locator(".panel h3").all_text_contents() == names
    crowd.page.emulate_media(media="screen")


def test_without_a_script_everything_can_be_read(browser: Any, busy: Path) -> None:
    context = browser.new_context(java_script_enabled=False, offline=True)
    plain = context.new_page()
    plain.goto(busy.as_uri(), timeout=WAIT)
    assert all(panel.is_visible() for panel in plain.locator(".panel").all())
    assert not plain.locator(".filter").first.is_visible() and not plain.locator("[role=tablist]").is_visible()
    context.close()


def test_a_figure_is_saved_by_the_keyboard(opened: Opened) -> None:
    opened.page.locator("button[data-save]").first.focus()
    with opened.page.expect_download(timeout=WAIT) as waiting:
        opened.page.keyboard.press("Enter")
    assert waiting.value.suggested_filename == "differences.svg"
    assert "<svg" in Path(waiting.value.path()).read_text(encoding="utf-8")


def test_each_column_is_explained_by_keyboard_and_touch(opened: Opened) -> None:
    heads, meant = opened.page.evaluate("""() => [...document.querySelectorAll("table")].map(table => {
        const lines = table.parentElement.nextElementSibling;
        return [[...table.tHead.rows[0].cells].map(cell => cell.textContent.trim()),
                [...lines.querySelectorAll("dt")].map(dt => dt.textContent.trim())
                    .filter((_, at) => lines.querySelectorAll("dd")[at].textContent.trim().length > 15)];
    }).reduce(([a, b], [c, d]) => [[...a, ...c], [...b, ...d]], [[], []])""")
    assert heads == meant and len(heads) > 20
    summary = opened.page.locator("details.columns summary").first
    line = opened.page.locator("details.columns dd").first
    assert not line.is_visible()
    summary.focus()
    opened.page.keyboard.press("Enter")
    assert line.is_visible()


def test_a_picture_is_bounded_until_it_is_asked_for(crowd: Opened) -> None:
    image = crowd.page.locator("details.picture img").first
    before = image.bounding_box()
    assert before is not None and 100 < before["height"] <= 22 * 16 + 1 and image.get_attribute("decoding") == "async"
    crowd.page.locator("details.picture summary").first.focus()
    crowd.page.keyboard.press("Enter")
    after = image.bounding_box()
    assert after is not None and after["height"] > before["height"]
    wide, seen = crowd.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= seen
    crowd.page.keyboard.press("Enter")


# --- the edges ---


def pdf_pages(one: Opened) -> int:
    pdf = one.page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    return sum(pdf.count(b"/Type /Page" + end) for end in (b"\n", b"/", b" "))


EDGES = {
    "hostile names": lambda record: named(record, NASTY),
    "right to left": lambda record: named(record, ARABIC),
    "long names": lambda record: named(record, LONG),
    "one loss, one run": alone,
    "all failed": failed,
    "twenty losses": large,
}


@pytest.mark.parametrize("edge", EDGES)
def test_at_the_edges(browser: Any, full: Record, tmp_path: Path, edge: str) -> None:
    """No complaint, no fault of accessibility, nothing fetched, nothing wider than a phone, and paper enough."""
    from axe_playwright_python.sync_playwright import Axe

    file = tmp_path / "edge.html"
    file.write_text(page(EDGES[edge](full)), encoding="utf-8")
    one = Opened(browser, file, width=375)
    wide, seen = one.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    found = Axe().run(one.page)
    printed = pdf_pages(one)
    fetched = [url for url in one.asked if not url.startswith(("file:", "data:", "blob:"))]
    one.context.close()
    assert one.faults == [] and fetched == []
    assert wide <= seen
    assert found.violations_count == 0, found.generate_report()
    assert 2 <= printed <= 40, printed
