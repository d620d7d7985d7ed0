"""The pages: their examples run, their links lead somewhere, they load nothing from the network, they name real things.

The site is built once, or brought up to date, into docs/_build/html.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from typer.main import get_command

import vaelab
from vaelab import presets
from vaelab.building import TOPS
from vaelab.cli.app import app
from vaelab.data import AUGMENTATIONS, CORRUPTIONS
from vaelab.likelihoods import LIKELIHOODS
from vaelab.nn import DECODERS, ENCODERS
from vaelab.objectives import OBJECTIVES
from vaelab.posteriors import POSTERIORS
from vaelab.priors import PRIORS
from vaelab.specs import Registry, Spec

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SITE = DOCS / "_build" / "html"
WRITTEN = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
WRITTEN.remove(DOCS / "cli.md")  # made from --help
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MODULES = re.findall(r"^\.\. automodule:: (\S+)$", (DOCS / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
PACKAGES = ("applications", "tasks", "estimators", "report", "studies")
"""Each of their modules has a section of its own."""

SPECS = {
    "encoder": ENCODERS,
    "classifier": ENCODERS,
    "top": TOPS,
    "decoder": DECODERS,
    "posterior": POSTERIORS,
    "prior": PRIORS,
    "likelihood": LIKELIHOODS,
    "objective": OBJECTIVES,
    "augmentation": AUGMENTATIONS,
    "corruption": CORRUPTIONS,
}


# --- examples -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tutorial_run(tmp_path_factory):
    """The run that other pages than the tutorial open as runs/first."""
    path = tmp_path_factory.mktemp("docs") / "first"
    vaelab.train("digits-vae", out=path, training={"epochs": 2})
    return path


@pytest.fixture
def registries_as_they_were():
    """A page may register a part of its own; other tests look at all names."""
    modules = [importlib.import_module(name) for name in MODULES]
    found = [thing for module in modules for thing in vars(module).values() if isinstance(thing, Registry)]
    before = [dict(registry._makers) for registry in found]
    yield
    for registry, makers in zip(found, before, strict=True):
        registry._makers = makers


@pytest.mark.parametrize(
    "page", [page for page in WRITTEN if FENCE.search(page.read_text(encoding="utf-8"))], ids=lambda page: page.name
)
@pytest.mark.usefixtures("registries_as_they_were")
def test_the_examples_of_a_page_run(page, request, tmp_path, monkeypatch):
    text = page.read_text(encoding="utf-8")
    blocks = list(FENCE.finditer(text))
    monkeypatch.chdir(tmp_path)
    if 'Run.open("runs/first")' in text and page.name != "tutorial.md":
        shutil.copytree(request.getfixturevalue("tutorial_run"), tmp_path / "runs" / "first")
    names: dict[str, object] = {"__name__": page.stem}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for block in blocks:
        line = text.count("\n", 0, block.start(1))
        if ">>> " not in block[1]:
            exec(compile("\n" * line + block[1], str(page), "exec"), names)
            continue
        example = doctest.DocTestParser().get_doctest(block[1], names, page.name, str(page), line)
        report: list[str] = []
        runner.run(example, out=report.append, clear_globs=False)
        assert not report, "".join(report)
        names = example.globs


def commands_of(page: Path) -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("vaelab ")]


@pytest.mark.parametrize("line", sorted({line for page in WRITTEN for line in commands_of(page)}))
def test_a_command_is_understood(line):
    """Its flags and values, without running it."""
    command, words = get_command(app), shlex.split(line, comments=True)[1:]
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    given = command.make_context(line, words).params
    for key, registry in SPECS.items():
        if given.get(key) is not None and "ring" not in given[key]:  # the page about extending makes that one
            registry.check(Spec.parse(given[key]))
    if given.get("preset") is not None:
        presets.get(given["preset"])


# --- the glossary and the API reference -----------------------------------------------------------------------------


def test_the_glossary_names_what_is_in_the_code():
    rows = [row.split("|") for row in (DOCS / "glossary.md").read_text(encoding="utf-8").splitlines() if ".py`" in row]
    assert len(rows) > 20
    for row in rows:
        source = (ROOT / "src" / "vaelab" / row[4].strip().strip("`")).read_text(encoding="utf-8")
        names = re.findall(r"`(\w+)`", row[3])
        assert names, row
        for name in names:
            assert re.search(rf"\b{name}\b", source), f"{name} is not in {row[4].strip()}"


def test_every_module_has_its_section_once():
    found = [module.name for module in pkgutil.iter_modules(vaelab.__path__)]
    tops = [f"vaelab.{name}" for name in found if name not in ("cli", "__main__", *PACKAGES)]
    paths = {name: importlib.import_module(f"vaelab.{name}").__path__ for name in PACKAGES}
    parts = [f"vaelab.{name}.{part.name}" for name in PACKAGES for part in pkgutil.iter_modules(paths[name])]
    assert sorted(MODULES) == sorted(["vaelab", "vaelab.studies", *tops, *parts])


@pytest.mark.parametrize("name", MODULES)
def test_every_public_object_has_a_docstring(name):
    module = importlib.import_module(name)
    public = getattr(module, "__all__", None) or [
        key
        for key, value in vars(module).items()
        if not key.startswith("_") and getattr(value, "__module__", None) == name
    ]
    assert module.__doc__
    for key in public:
        thing = getattr(module, key)
        if inspect.isclass(thing):
            assert inspect.getdoc(thing), f"{name}.{key}"
            for method, value in vars(thing).items():
                if not method.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                    assert inspect.getdoc(value), f"{name}.{key}.{method}"
        elif inspect.isfunction(thing):
            assert inspect.getdoc(thing), f"{name}.{key}"


# --- the built site -------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """The links, ids and loaded files of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.loaded: list[str] = []
        self.formulas = 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = {key: value or "" for key, value in attrs}
        self.ids.update(values[key] for key in ("id", "name") if key in values)
        self.formulas += tag == "math"
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag == "link" and values.get("rel") in ("canonical", "search", "index", "next", "prev"):
            self.links.append(values["href"])
        elif tag in ("script", "link", "img", "iframe", "source", "video", "audio"):
            self.loaded += [values[key] for key in ("src", "href") if key in values]


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Test processes share the built site."""
    SITE.parent.mkdir(parents=True, exist_ok=True)
    with (SITE.parent / ".lock").open("w") as handle:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="module")
def pages():
    pytest.importorskip("sphinx", reason="the site is built with the extra [docs]")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", str(DOCS), str(SITE)]
    with one_at_a_time():
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"}
        )
        assert done.returncode == 0, done.stderr
        return {path.name: Page(path.read_text(encoding="utf-8")) for path in SITE.glob("*.html")}


def test_every_page_is_built(pages):
    assert {f"{path.stem}.html" for path in DOCS.glob("*.md")} <= set(pages)


def test_nothing_is_loaded_from_the_network(pages):
    for name, page in pages.items():
        assert not [file for file in page.loaded if re.match(r"(https?:)?//", file)], name
    for style in SITE.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", style.read_text(encoding="utf-8")), style.name


def test_formulas_are_mathml(pages):
    assert pages["likelihoods.html"].formulas > 10
    assert pages["objectives.html"].formulas > 10


def test_internal_links_and_files_exist(pages):
    for name, page in pages.items():
        for link in page.links + page.loaded:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link == "#":
                continue
            target = unquote(parts.path) or name
            assert (SITE / target).exists(), f"{name}: {link}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].ids, f"{name}: {link}"
