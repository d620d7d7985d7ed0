"""Each contestant's own environment, made once from the package index and used again."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
CONTESTANTS = ROOT / "contestants"
NEEDED = {
    "sheet": [],
    "vaelab": [],
    "pythae": ["pythae==0.1.2"],
    "keras": ["keras==3.15.1"],
    "pyod": ["pyod==3.6.7", "tqdm"],
}
"""Contestant → what it needs beside torch, NumPy and Pillow; vaelab and the sheet's loop run where vaelab is."""


def python_of(name: str, folder: Path) -> str:
    """The interpreter of a contestant's environment under ``folder``, installed where it is not there yet."""
    if not NEEDED[name]:
        return sys.executable
    place = folder / name
    python = place / "bin" / "python"
    stamp = place / ".installed"
    wanted = "\n".join(NEEDED[name])
    if stamp.exists() and stamp.read_text() == wanted:
        return str(python)
    print(f"installing {wanted} into {place}", file=sys.stderr, flush=True)
    venv.create(place, with_pip=True, clear=True)
    constraints = ROOT.parent / "constraints.txt"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", str(constraints)]
    # torch first: some of them ask for any torch at all, and would fetch another build of it.
    for packages in (["torch", "numpy", "pillow"], NEEDED[name]):
        subprocess.run([*pip, *packages], check=True)
    stamp.write_text(wanted)
    return str(python)
