"""The command line: words → configuration → a call into `workflows`; no logic of its own.

Nothing here imports torch or matplotlib before a command needs them, so that ``--help`` answers at once.
"""

from vaelab.cli.entry import main

__all__ = ["main"]
