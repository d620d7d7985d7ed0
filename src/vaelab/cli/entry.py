"""`main`: runs a command and turns whatever ends it into one sentence and an exit code."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from typer.main import get_command

from vaelab.cli import console
from vaelab.cli.app import app
from vaelab.errors import VaelabError, out_of_memory
from vaelab.launch import is_first

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
LINGER = 10  # seconds: longer than rank 0 takes to come to the same fault
PIPE_CLOSED = 141  # 128 + SIGPIPE, which Windows has no name for


class Terminated(BaseException):
    """SIGTERM came where no training was there to save itself first."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``vaelab`` with ``arguments`` (default: the process's own) and return its exit code.

    0 done, 1 failed, 2 wrong usage, 130 and 143 stopped by SIGINT and SIGTERM, 141 nobody reads the output any more.
    """
    console.prepare_streams()
    console.settings.debug = False
    console.settings.words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with _sigterm():
            code = get_command(app).main(
                args=None if arguments is None else list(arguments), prog_name="vaelab", standalone_mode=False
            )
            sys.stdout.flush()
    except BaseException as error:
        if console.settings.debug:
            traceback.print_exception(error)
        return _report(error)
    if code == INTERRUPTED:  # what typer makes of a KeyboardInterrupt
        console.error("stopped by SIGINT")
    return code if isinstance(code, int) else 0


def _report(error: BaseException) -> int:
    if isinstance(error, SystemExit):  # typer's own way to end at a closed pipe
        return PIPE_CLOSED if isinstance(error.__context__, BrokenPipeError) else int(error.code or 0)
    if isinstance(error, BrokenPipeError):
        _forget_output()
        return PIPE_CLOSED
    if type(error).__name__ == "NoArgsIsHelpError":  # the help has been shown
        return 2
    code, sentence = _sentence(error)
    if not is_first():  # of several processes with the same words; rank 0 tells, and torchrun then ends this one
        if code in (INTERRUPTED, TERMINATED):
            return code
        time.sleep(LINGER)
    console.error(sentence)
    return code


def _sentence(error: BaseException) -> tuple[int, str]:
    """Exit code and sentence."""
    if isinstance(error, VaelabError):
        return error.exit_code, str(error)
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
        return INTERRUPTED, "stopped by SIGINT"
    if isinstance(error, Terminated):
        return TERMINATED, "stopped by SIGTERM"
    if hasattr(error, "format_message"):  # typer's usage errors; their class depends on its version
        path = getattr(getattr(error, "ctx", None), "command_path", "vaelab")
        return 2, f"{error.format_message().rstrip('. ')}; see {path} --help"
    return 1, _failure(error)


def _failure(error: BaseException) -> str:
    """What is neither the user's nor foreseen by the place where it happened."""
    if out_of_memory(error):
        return "the memory is full; lower --batch-size in training, -n in sampling, or choose another --device"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}; check the path, its rights and the space on the disk"
    what = f"{type(error).__name__}: {error}"
    return f"this should not have happened: {what}; repeat with --debug and report what it shows"


def _forget_output() -> None:
    """Let Python's own flush at the end go nowhere instead of complaining about the closed pipe."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _sigterm() -> Iterator[None]:
    """Within: SIGTERM raises `Terminated`, so that temporary files are removed and the exit code is 143."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is stop:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
