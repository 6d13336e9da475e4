"""What a job imports, as what `--py-files` takes. The same content gives the same bytes, whenever and wherever."""

from __future__ import annotations

import io
import zipfile
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
    files = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    wanted = [name for name in files if _is_wanted(PurePosixPath(name))]
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


def _is_wanted(name: PurePosixPath) -> bool:
    hidden = any(part.startswith(".") or part in _LEFT_OUT for part in name.parts)
    return not hidden and name.suffix not in (".pyc", ".pyo")
