"""The command ``vaelab``: its groups put together."""

from __future__ import annotations

from typing import Annotated

import typer

from vaelab import __version__
from vaelab.cli import (
    anomaly,
    classify,
    compare,
    data,
    demo,
    embed,
    evaluate,
    latent,
    options,
    plot,
    presets,
    sample,
    semi_supervised,
    study,
    train,
    transfer,
)

EPILOG = """\
Examples

$ vaelab demo
$ vaelab train --preset conv-vae --data mnist --out runs/vae
$ vaelab evaluate runs/vae --importance-samples 100
$ vaelab plot runs/vae

Results go to standard output, progress and errors to standard error. Exit codes: 0 done, 1 failed, \
2 wrong usage, 130 and 143 stopped by SIGINT and SIGTERM; a training is then saved and can be resumed."""

app = typer.Typer(
    help="Variational autoencoders with numbers one can trust: train, evaluate, sample, draw.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"vaelab {__version__}")
        raise typer.Exit


@app.callback()
def vaelab(
    version: Annotated[
        bool, typer.Option("--version", metavar="", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
    debug: options.Debug = False,
) -> None:
    """Variational autoencoders with numbers one can trust: train, evaluate, sample, draw."""


app.command("demo", epilog=demo.EPILOG)(demo.demo)
app.add_typer(data.app, name="data")
app.command("presets", epilog=presets.EPILOG)(presets.presets)
app.command("train", epilog=train.EPILOG)(train.train)
app.command("evaluate", epilog=evaluate.EPILOG)(evaluate.evaluate)
app.command("compare", epilog=compare.EPILOG)(compare.compare)
app.command("classify", epilog=classify.EPILOG)(classify.classify)
app.command("anomaly", epilog=anomaly.EPILOG)(anomaly.anomaly)
app.command("sample", epilog=sample.EPILOG)(sample.sample)
app.command("embed", epilog=embed.EPILOG)(embed.embed)
app.command("semi-supervised", epilog=semi_supervised.EPILOG)(semi_supervised.semi_supervised)
app.add_typer(study.app, name="study")
app.command("plot", epilog=plot.EPILOG)(plot.plot)
app.command("latent", epilog=latent.EPILOG)(latent.latent)
app.command("transfer", epilog=transfer.EPILOG)(transfer.transfer)
