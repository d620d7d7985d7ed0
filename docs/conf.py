"""Sphinx configuration: MyST Markdown pages, the API reference from docstrings, nothing loaded from the network."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "vaelab"
author = "The vaelab maintainers"
copyright = author
version = release = installed_version("vaelab")

extensions = ["myst_parser", "sphinx.ext.autodoc", "mathml"]
exclude_patterns = ["_build"]
default_role = "py:obj"

myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 3
myst_update_mathjax = False

# scikit-learn gives a classifier that method; its text leads to pages of scikit-learn's own.
autodoc_default_options = {"members": True, "member-order": "bysource", "exclude-members": "set_score_request"}
autodoc_typehints_format = "short"
maximum_signature_line_length = 90

html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"vaelab {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}


def mend_docstring(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are written for reading: |η| is no substitution, an indented block is literal text."""
    mended: list[str] = []
    session = literal = False
    for line in lines:
        blank, indented = not line.strip(), line.startswith("    ")
        session = not blank and (session or line.lstrip().startswith(">>> "))
        if literal and not blank and not indented:
            literal = False
        if indented and not literal and not session and (not mended or not mended[-1].strip()):
            mended += ["::", ""]
            literal = True
        mended.append(line if session or literal else _escape_bars(line))
    lines[:] = mended


def _escape_bars(line: str) -> str:
    pieces = re.split(r"(``.*?``)", line)
    return "".join(piece if piece.startswith("``") else piece.replace("|", r"\|") for piece in pieces)


def drop_signature(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str, None] | None:
    """Protocols cannot be called."""
    return ("", None) if getattr(thing, "_is_protocol", False) and what == "class" else None


def find_by_last_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element
) -> nodes.Element | None:
    """`DataError` from anywhere: a name that only one documented object ends in."""
    if node.get("refdomain") != "py" or node.get("reftype") not in ("obj", "class", "exc", "func", "meth", "data"):
        return None
    target = "." + node["reftarget"].lstrip(".")
    domain = env.domains.python_domain
    found = [name for name in domain.objects if name.endswith(target)]
    if len(found) != 1:
        return None
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", found[0], node, content)


def setup(app: Sphinx) -> None:
    """Connect the above."""
    app.connect("autodoc-process-docstring", mend_docstring)
    app.connect("autodoc-process-signature", drop_signature)
    app.connect("missing-reference", find_by_last_name)
