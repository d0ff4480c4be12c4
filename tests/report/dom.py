"""What is in a page, without a browser."""

from html.parser import HTMLParser

VOID = {"meta", "link", "wbr", "br", "input", "img"}


class Dom(HTMLParser):
    """Tags, the text of each element with an id, and the numbers as machines read them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.numbers: dict[str, list[float]] = {}
        self.open: list[tuple[str, str]] = []
        self.visible = ""
        self.feed(html)
        self.close()
        assert not self.open, f"elements left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "data":
            for _, name in self.open:
                self.numbers.setdefault(name, []).append(float(dict(attrs)["value"] or ""))
        if tag not in VOID:
            self.open.append((tag, dict(attrs).get("id") or ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1][0] == tag, f"</{tag}> closes {self.open[-1]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for _, name in self.open:
            self.texts[name] = self.texts.get(name, "") + data
        if not any(tag in ("script", "style") for tag, _ in self.open):
            self.visible += data

    def having(self, key: str) -> list[dict[str, str | None]]:
        return [attrs for _, attrs in self.tags if key in attrs]
