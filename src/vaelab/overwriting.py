"""An earlier run kept aside in its folder until the run that replaces it has saved something.

Only renames, which need no space: a full disk loses nothing. The hidden folders tell what a kill interrupted:

    .earlier.moving/   parts are on their way out of the run folder or back; what is not here is still in its place
    .earlier/          the earlier run is whole in here; what stands in the run folder is new and has no checkpoint
    .earlier.gone/     what is to be removed
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from vaelab.files import sync_folder


class EarlierRun:
    """The ``parts`` (names of files and folders) of the run in ``folder``; the caller holds the folder's lock."""

    def __init__(self, folder: Path, parts: Sequence[str]) -> None:
        self.folder, self.parts = folder, tuple(parts)
        self._moving, self._kept, self._gone = (folder / f".earlier{ending}" for ending in (".moving", "", ".gone"))

    def exists(self) -> bool:
        """Whether a run is kept aside, or a kill left something of one."""
        return any(os.path.lexists(path) for path in (self._moving, self._kept, self._gone))

    def set_aside(self) -> None:
        """Move the run out of the way; `OSError` where that is not possible, and `put_back` is then to be called."""
        self._moving.mkdir()
        for name in self.parts:
            if os.path.lexists(self.folder / name):
                os.rename(self.folder / name, self._moving / name)
        os.rename(self._moving, self._kept)
        sync_folder(self.folder)

    def put_back(self) -> None:
        """Undo `set_aside`, whole or interrupted; does nothing after `discard`."""
        if os.path.lexists(self._kept):
            for name in self.parts:
                _remove(self.folder / name)
            os.rename(self._kept, self._moving)
        if os.path.lexists(self._moving):
            for name in self.parts:
                if os.path.lexists(self._moving / name):
                    os.replace(self._moving / name, self.folder / name)
            self._moving.rmdir()
            sync_folder(self.folder)
        self._sweep()

    def discard(self) -> None:
        """Remove the run that was set aside; at once it cannot be put back any more."""
        if os.path.lexists(self._kept):
            os.rename(self._kept, self._gone)
            sync_folder(self.folder)
        self._sweep()

    def _sweep(self) -> None:
        """What cannot be removed now is left to the next command."""
        with suppress(OSError):
            if os.path.lexists(self._gone):
                shutil.rmtree(self._gone)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
