"""Exceptions that reach a user as one sentence: what was expected, what came, what to do."""

from __future__ import annotations


class VaelabError(Exception):
    """Something the user can mend; shown as one sentence, exit code 1."""

    exit_code = 1


class UsageError(VaelabError):
    """A wrong word on the command line or in a configuration; exit code 2."""

    exit_code = 2


class DataError(VaelabError):
    """Data that is missing, damaged, or does not fit the model."""


class CheckpointError(VaelabError):
    """A run folder or checkpoint that is missing, damaged, or foreign."""


class TrainingError(VaelabError):
    """Training cannot go on, for instance because the loss is not finite."""


def out_of_memory(error: BaseException) -> bool:
    """Whether the memory is full: Python's, an accelerator's (torch.OutOfMemoryError), or torch's on the CPU.

    The last is a plain RuntimeError; its words alone tell.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    words = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


class Interrupted(VaelabError):
    """Training was stopped by a signal after its state was saved.

    ``exit_code`` is 128 + the signal's number: 130 for SIGINT, 143 for SIGTERM.
    """

    def __init__(self, message: str, signum: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signum
