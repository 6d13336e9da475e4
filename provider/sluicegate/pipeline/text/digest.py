"""What a pipeline file says, as bytes: with the defaults that hold for it, and as one digest. Reads no YAML."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

__all__ = ["DEFAULTS", "defaults_of", "digest_of", "source_digest", "texts_of"]

DEFAULTS = "defaults.yaml"


def source_digest(file: Path, root: Path, env: Mapping[str, str | None]) -> str:
    """sha256 (hex) of a pipeline file, of the defaults that hold for it and of the variables that they ask for.

    The same as `Source.digest`, without reading them as YAML.

    :param env: those variables, as `Source.env` has them
    :raises OSError: when `file` cannot be read.
    """
    return digest_of(texts_of(file, root).values(), env)


def texts_of(file: Path, root: Path) -> dict[Path, bytes]:
    """A pipeline file, then its defaults from the deepest folder up.

    :raises OSError: when `file` cannot be read.
    """
    return {path: path.read_bytes() for path in (file, *defaults_of(file, root))}


def digest_of(texts: Iterable[bytes], env: Mapping[str, str | None]) -> str:
    """sha256 (hex) of those texts and of the variables that they ask for."""
    digest = hashlib.sha256()
    for data in texts:
        digest.update(len(data).to_bytes(8, "big") + data)
    for name, found in sorted(env.items()):
        digest.update(f"{name}={found!r}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def defaults_of(file: Path, root: Path) -> tuple[Path, ...]:
    """The `defaults.yaml` that hold for `file`, the deepest first; nothing above `root` counts."""
    folder = file.parent
    folders = [folder]
    if folder.is_relative_to(root):
        while folder != root:
            folder = folder.parent
            folders.append(folder)
    return tuple(path for path in (folder / DEFAULTS for folder in folders) if path.is_file() and path != file)
