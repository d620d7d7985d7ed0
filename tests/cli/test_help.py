"""Help: quick, complete, readable at 80 columns; the reference made from it."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

import vaelab as package
from vaelab import pictures, presets
from vaelab.building import CONDITIONS, INITS
from vaelab.cli import options, plot, train
from vaelab.cli.app import app
from vaelab.config import OPTIMIZERS, PRECISIONS, SCHEDULES, VARIANTS, DataConfig, ModelConfig, TrainingConfig
from vaelab.data.augmentation import AUGMENTATIONS
from vaelab.data.catalogue import list_datasets
from vaelab.data.corruption import CORRUPTIONS
from vaelab.errors import UsageError
from vaelab.likelihoods import LIKELIHOODS
from vaelab.nn import DECODERS, ENCODERS
from vaelab.objectives import OBJECTIVES
from vaelab.posteriors import POSTERIORS
from vaelab.priors import PRIORS
from vaelab.specs import Spec

TOOL = Path(__file__).parents[2] / "tools" / "cli_reference.py"
COMMANDS = [
    "",
    "demo",
    "data",
    "data list",
    "data fetch",
    "data check",
    "presets",
    "train",
    "evaluate",
    "classify",
    "compare",
    "study",
    "study list",
    "study run",
    "anomaly",
    "sample",
    "plot",
    "latent",
    "transfer",
]
HEAVY = ("torch", "sklearn", "matplotlib", "numpy")
UNREACHED = {"data": {"name", "seed"}, "model": {"kind", "image_shape", "classes"}, "training": set()}
"""Keys without a flag of their name: --data is the name, the rest is a preset's or a file's matter."""


@pytest.mark.parametrize("words", ["--help", "train --help", "plot --help"])
def test_help_comes_at_once(words):
    code = (
        f"import sys; from vaelab.cli import main; main({words.split()!r}); print(sorted(sys.modules), file=sys.stderr)"
    )
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = os.times()
    loaded = set(re.findall(r"'([^']+)'", done.stderr))
    assert not loaded & set(HEAVY)
    used = after.children_user + after.children_system - before.children_user - before.children_system
    assert used < 1  # seconds of a processor: other work on the machine does not count


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_80_columns_and_has_examples(command, vaelab, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = vaelab(*command.split(), "--help")
    assert result.code == 0
    assert max(map(len, result.out.splitlines())) <= 80
    assert "Example" in result.out
    assert f"$ vaelab {command}".rstrip() in result.out
    assert "\x1b" not in result.out


def test_examples_are_commands_that_exist():
    for path, command in walk("vaelab", get_command(app)):
        for line in re.findall(r"^\$ vaelab (.+)$", command.epilog or "", re.MULTILINE):
            words = line.split(" > ")[0].split()
            parent = get_command(app)
            while words and words[0] in getattr(parent, "commands", {}):
                parent = parent.commands[words.pop(0)]
            assert not hasattr(parent, "commands"), (path, line)
            known = {flag for parameter in parent.params for flag in (*parameter.opts, *parameter.secondary_opts)}
            assert {word for word in words if word.startswith("-")} <= known, (path, line)


def walk(path, command):
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(f"{path} {name}", child)


def test_no_words_show_the_help(vaelab):
    result = vaelab()
    assert result.code == 2
    assert "Usage: vaelab" in result.out
    assert not result.err


def test_version(vaelab):
    result = vaelab("--version")
    assert (result.code, result.out) == (0, f"vaelab {package.__version__}\n")


def test_completion_script(monkeypatch):
    environment = os.environ | {"_VAELAB_COMPLETE": "source_bash"}
    code = "import sys; from vaelab.cli import main; sys.exit(main([]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "_VAELAB_COMPLETE" in done.stdout


def test_completion_of_names():
    assert options.complete_preset("conv-") == ["conv-cvae", "conv-vae"]
    assert options.complete_data("d") == ["digits"]
    assert [kind for kind, _ in plot.complete_kind("latent")] == ["latent-grid", "latent-scatter"]
    assert list(options.DATA_SETS) == [row["name"] for row in list_datasets()]


def test_kinds_of_figures_are_the_ones_there_are():
    assert sorted(plot.KINDS) == pictures.kinds()


def test_every_key_of_the_configuration_has_its_flag():
    command = get_command(app).commands["train"]
    flags = {flag for parameter in command.params for flag in parameter.opts}
    for section, kind in (("data", DataConfig), ("model", ModelConfig), ("training", TrainingConfig)):
        keys = {field.name for field in dataclasses.fields(kind)} - UNREACHED[section]
        assert set(train.SETTINGS[section]) == keys
        assert {"--" + key.replace("_", "-") for key in keys} <= flags


@pytest.mark.parametrize(
    ("flag", "names"),
    [
        ("init", INITS), ("condition", CONDITIONS), ("variant", VARIANTS), ("optimizer", OPTIMIZERS),
        ("schedule", SCHEDULES), ("precision", PRECISIONS),
    ],
)  # fmt: skip
def test_help_names_every_word(flag, names):
    (parameter,) = (p for p in get_command(app).commands["train"].params if p.name == flag)
    words = set(re.findall(r"[a-z0-9]+(?:-[a-z]+)*", parameter.help))
    assert set(names) <= words


@pytest.mark.parametrize(
    ("flag", "registry"),
    [
        ("encoder", ENCODERS), ("decoder", DECODERS), ("posterior", POSTERIORS), ("prior", PRIORS),
        ("likelihood", LIKELIHOODS), ("objective", OBJECTIVES), ("corruption", CORRUPTIONS),
        ("augmentation", AUGMENTATIONS),
    ],
)  # fmt: skip
def test_help_shows_specs_that_are_right_and_no_list_of_all(flag, registry):
    (parameter,) = (p for p in get_command(app).commands["train"].params if p.name == flag)
    found = re.search(r"or instance (\S+), or (\S+)$", parameter.help)
    assert found, parameter.help
    for example in found.groups():
        registry.check(Spec.parse(example))
    with pytest.raises(UsageError, match=f"known: {', '.join(registry.names())}$"):
        registry.check(Spec.parse("?"))


def test_default_preset_exists():
    assert train.DEFAULT in presets.names()


@pytest.mark.parametrize("columns", ["40", "200"])
def test_reference_is_not_stale(columns):
    environment = os.environ | {"COLUMNS": columns, "FORCE_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, str(TOOL), "--check"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
