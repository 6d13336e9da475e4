"""An environment a peer, made once below `.bench/`: the peer at one version, beside the libraries that we run on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["BENCH", "NotInstalledError", "environment"]

_REPOSITORY = Path(__file__).resolve().parents[3]
_UV = _REPOSITORY / ".uv" / "bin" / "uv"
BENCH = _REPOSITORY / ".bench"
"""Environments, workloads, and homes of Airflow: nothing that lasts."""


class NotInstalledError(Exception):
    """A peer could not be installed: the others are compared without it."""


def environment(requirement: str | None) -> Path:
    """The Python of the environment that has `requirement`, such as `gusty==0.23.1`; None is our own.

    :raises NotInstalledError: with what the installer said
    """
    if requirement is None:
        return Path(sys.executable)
    folder = BENCH / "environments" / requirement
    python, ready = folder / "bin" / "python", folder / "ready"
    if ready.exists():
        return python
    print(f"installing {requirement} ...", flush=True)
    _run("venv", "--clear", "--python", sys.executable, str(folder))
    _run("pip", "install", "--python", str(python), "--constraint", str(_constraints()), "apache-airflow", requirement)
    ready.touch()
    return python


def _constraints() -> Path:
    """The versions of our lock file, Airflow's among them."""
    file = BENCH / "constraints.txt"
    words = ("export", "--frozen", "--no-emit-project", "--no-hashes", "--no-annotate", "--no-header")
    _run(*words, "--output-file", str(file))
    return file


def _run(*words: str) -> None:
    try:
        subprocess.run([_UV, "--quiet", *words], cwd=_REPOSITORY, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise NotInstalledError(f"{_UV} is not there: `make env` puts it there") from error
    except subprocess.CalledProcessError as error:
        raise NotInstalledError(error.stderr.strip()[-1500:]) from error
