"""Formulas as MathML, made when the site is built: a page needs no script, no web font and no network to show them.

latex2mathml does the parsing; what follows mends the places where its output is not what TeX would set: names of
functions get their spaces, ``\\mathrm`` words stay whole, relations are relations.
"""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree as ET

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

THIN = "0.167em"
RELATIONS = {"~": "∼", "‖": "‖", "⟺": "⟺"}
CLOSING = set(")]}")
UNDER_OVER = {"msubsup": "munderover", "msub": "munder", "munderover": "munderover", "munder": "munder"}


def to_mathml(tex: str, display: bool) -> str:
    """``<math>`` of a formula; raises ValueError where a command is unknown or the formula cannot be parsed."""
    source = re.sub(r"(begin|end)\{aligned\}", r"\1{align*}", tex.strip())
    mode = "block" if display else "inline"
    try:
        root = ET.fromstring(convert(source, display=mode).replace(' xmlns="http://www.w3.org/1998/Math/MathML"', ""))
    except Exception as error:  # the parser raises a good dozen of types
        raise ValueError(f"cannot be parsed ({type(error).__name__}: {error})") from error
    unknown = sorted({text for node in root.iter() if (text := node.text or "").startswith("\\")})
    if unknown:
        raise ValueError(f"has unknown commands: {', '.join(unknown)}")
    for node in list(root.iter()):
        _join_words(node)
    for node in root.iter():
        _mend_symbol(node)
        if display:
            _put_limits_below(node)
    for node in list(root.iter()):
        _enlarge_brackets(node)
    for node in list(root.iter()):
        _space_names(node)
    root.set("alttext", " ".join(tex.split()))
    return ET.tostring(root, encoding="unicode")


def _join_words(parent: ET.Element) -> None:
    r"""``\mathrm{KL}``, a row of upright letters → one identifier."""
    letters = list(parent)
    if len(letters) > 1 and all(child.tag == "mi" and child.get("mathvariant") == "normal" for child in letters):
        word = "".join(child.text or "" for child in letters)
        parent.tag, parent.text, parent.attrib = "mi", word, {}
        parent[:] = []


def _mend_symbol(node: ET.Element) -> None:
    text = node.text or ""
    if node.tag in ("mi", "mo") and text in RELATIONS:
        node.tag, node.text = "mo", RELATIONS[text]
        node.attrib = {"lspace": "0.278em", "rspace": "0.278em", "stretchy": "false"}
    elif node.tag == "mo" and len(text) > 1 and text.isalpha():
        node.tag, node.attrib = "mi", {}
    elif node.tag == "mover" and len(node) == 2 and node[1].tag == "mo":
        node.set("accent", "true")


def _put_limits_below(node: ET.Element) -> None:
    """A sum in a displayed formula has its limits below and above it, in brackets, too; its size needs no math font."""
    if node.tag in UNDER_OVER and len(node) and node[0].text == "∑":
        node.tag = UNDER_OVER[node.tag]
        node[0].attrib = {"largeop": "false", "movablelimits": "false", "class": "large"}


def _enlarge_brackets(row: ET.Element) -> None:
    """Brackets around something tall are scaled: only fonts for mathematics, which not everybody has, stretch them."""
    fences = [child for child in row if child.tag == "mo" and child.get("fence") == "true" and child.text]
    if row.tag != "mrow" or not fences:
        return
    inside = {child.tag for child in row.iter()}
    taller, tall = "mtable" in inside, inside & {"mfrac", "munderover", "munder"}
    for fence in fences:
        fence.attrib = {"fence": "true", "form": fence.get("form", "prefix"), "stretchy": "false"}
        if tall or taller:
            place = list(row).index(fence)
            raised = ET.Element("mpadded", {"voffset": "-0.6em" if taller else "-0.27em"})
            fence.set("class", "taller" if taller else "tall")
            row[place] = raised
            raised.append(fence)


def _space_names(parent: ET.Element) -> None:
    """Thin spaces around log, exp, softplus, KL …, as TeX sets them around operators."""
    children = list(parent)
    if parent.tag not in ("mrow", "math", "mtd", "mstyle"):
        return
    placed: list[ET.Element] = []
    for index, child in enumerate(children):
        name = _is_name(child)
        if name and index and _needs_space_before(children[index - 1]):
            placed.append(ET.Element("mspace", {"width": THIN}))
        placed.append(child)
        if name and index + 1 < len(children) and _needs_space_after(children[index + 1]):
            placed.append(ET.Element("mspace", {"width": THIN}))
    parent[:] = placed


def _is_name(node: ET.Element) -> bool:
    base = node[0] if node.tag in ("msub", "msup", "msubsup", "munder") and len(node) else node
    return base.tag == "mi" and len(base.text or "") > 1 and (base.text or "").isalpha()


def _needs_space_before(node: ET.Element) -> bool:
    if node.tag == "mo":
        return (node.text or "") in CLOSING
    if node.tag == "mpadded":
        return False
    return node.tag != "mspace" and not (_is_name(node) or (node.tag == "mi" and not node.text))


def _needs_space_after(node: ET.Element) -> bool:
    first = (
        next((child for child in node.iter() if child.tag == "mo"), None) if node.tag in ("mrow", "mpadded") else None
    )
    if first is not None and first.get("fence") == "true":
        return False
    return node.tag not in ("mo", "mspace")


def _render(translator: Any, node: nodes.Element, display: bool) -> str:
    try:
        return to_mathml(node.astext(), display)
    except ValueError as error:
        logger.warning("the formula %r %s", node.astext(), error, location=node)
        return f"<code>{translator.encode(node.astext())}</code>"


def visit_math(translator: Any, node: nodes.Element) -> None:
    """A formula within a line."""
    translator.body.append(_render(translator, node, display=False))
    raise nodes.SkipNode


def visit_math_block(translator: Any, node: nodes.Element) -> None:
    """A formula on lines of its own."""
    translator.body.append(translator.starttag(node, "div", CLASS="formula"))
    translator.body.append(_render(translator, node, display=True))
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer as ``mathml``."""
    app.add_html_math_renderer("mathml", inline_renderers=(visit_math, None), block_renderers=(visit_math_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
