"""What a job imports, as what `--py-files` takes. The same content gives the same bytes, whenever and wherever."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from sluicegate.emr.artifacts import read_job
from sluicegate.faults import fault

__all__ = ["py_file"]

_EPOCH = (1980, 1, 1, 0, 0, 0)
_LEFT_OUT = ("__pycache__",)


def py_file(path: str, root: Path) -> tuple[str, bytes]:
    """The name and the content under which `path`, looked for from `root`, is uploaded.

    A wheel becomes a `.zip`: the executors import from nothing else. A folder is zipped: a package (it has an
    `__init__.py`) under its own name, any other with its content at the top.

    A link is what it leads to, if that is below `root` too.

    :raises FatalFault: CODE_MISSING when it is not there, not below `root`, or an empty folder
    """
    if (root / path).is_dir():
        return f"{PurePosixPath(path).name}.zip", _zipped(path, root)
    name = PurePosixPath(path).name
    if name.endswith(".whl"):
        name = name.removesuffix(".whl") + ".zip"
    return name, read_job(path, root)


def _zipped(path: str, root: Path) -> bytes:
    folder = (root / path).resolve()
    if not folder.is_relative_to(root.resolve()):
        raise fault("CODE_MISSING", f"{path} is not below the dags root", path=path)
    inside = f"{folder.name}/" if (folder / "__init__.py").is_file() else ""
    wanted = sorted(name for name in _files(folder) if _is_wanted(PurePosixPath(name)))
    for name in wanted:
        if not (folder / name).resolve().is_relative_to(root.resolve()):
            raise fault("CODE_MISSING", f"{path}/{name} is a link that leads out of the dags root", path=path)
    if not wanted:
        raise fault("CODE_MISSING", f"there is no file in the folder {path} below {root}", path=path)
    made = io.BytesIO()
    # Not compressed: another version of zlib would give other bytes, and so another place in S3.
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name in wanted:
            entry = zipfile.ZipInfo(inside + name, _EPOCH)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, (folder / name).read_bytes())
    return made.getvalue()


def _files(folder: Path) -> Iterator[str]:
    """The files below `folder`, as Python sees them: through links to folders too, each such folder once in a way."""
    seen: dict[str, set[Path]] = {str(folder): {folder.resolve()}}
    for place, folders, names in os.walk(folder, followlinks=True):
        above = seen.pop(place)
        inner = {name: (Path(place) / name).resolve() for name in sorted(folders)}
        folders[:] = [name for name, real in inner.items() if real not in above]
        seen |= {str(Path(place) / name): above | {inner[name]} for name in folders}
        for name in names:
            if (Path(place) / name).is_file():
                yield (Path(place) / name).relative_to(folder).as_posix()


def _is_wanted(name: PurePosixPath) -> bool:
    hidden = any(part.startswith(".") or part in _LEFT_OUT for part in name.parts)
    return not hidden and name.suffix not in (".pyc", ".pyo")
