"""LaTeX to MathML, which browsers draw without a script and without a network."""

import re
from html import unescape

from latex2mathml.converter import convert


def mathml(latex: str, block: bool = False) -> str:
    r"""One formula.

    >>> mathml("m")
    '<math xmlns="http://www.w3.org/1998/Math/MathML" display="inline"><mrow><mi>m</mi></mrow></math>'

    Raises ValueError where a command was not understood.
    """
    plain = re.sub(r"\\text(?:tt)?\{[^{}]*\}", lambda words: words[0].replace("\\_", "_"), latex)
    drawn = convert(plain, display="block" if block else "inline")
    if left := re.findall(r"\\\w+", drawn):
        raise ValueError(f"{left[0]} is not understood in the formula {latex}")
    return drawn


def with_mathml(html: str) -> str:
    """A page in which pymdownx.arithmatex has found the formulas."""

    def drawn(found: re.Match[str]) -> str:
        tag, latex = found[1], unescape(found[2])
        return f'<{tag} class="formula">{mathml(latex, block=tag == "div")}</{tag}>'

    return re.sub(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', drawn, html, flags=re.DOTALL)
