"""A folder as an S3 store: a bucket is a folder below the root, an object is a plain file in it.

The folder is the truth: what Spark or a person puts there is an object at once, and nothing about an object
is kept elsewhere (so no metadata, no content type). An empty folder is the marker `name/`. Speaks no HTTP.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

CHUNK = 1 << 20
PRECONDITION = "At least one of the pre-conditions you specified did not hold."
_REMEMBERED = 100_000
_SETTLED_NS = 50_000_000
_EMPTY = hashlib.md5(usedforsecurity=False).hexdigest()
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class S3Error(Exception):
    """An error as S3 gives it: `code` and `status` are S3's, the message says what to do here."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True)
class ObjectInfo:
    """One object: `etag` is the md5 of its whole content, also after a multipart upload; no quotes."""

    key: str
    size: int
    etag: str
    modified: float
    """Seconds since 1970."""


@dataclass(frozen=True)
class Staged:
    """A body that was received whole and waits beside the buckets to become an object."""

    path: Path
    size: int
    md5: str
    crc32: int


@dataclass(frozen=True)
class Condition:
    """What must hold for a write: the entity tag that is there now, or that nothing is there."""

    if_match: str | None = None
    if_absent: bool = False


ALWAYS = Condition()


class _Identity(NamedTuple):
    """Changes whenever a file's content can have changed."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, stat: os.stat_result) -> _Identity:
        return cls(stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


class Objects:
    """The buckets below `root` (created if missing). Safe for threads; one process per root.

    With `create_buckets` a write makes its bucket where there is none, which S3 would not.
    """

    def __init__(self, root: Path, *, create_buckets: bool = False) -> None:
        self.root = root.resolve()
        self._create_buckets = create_buckets
        self._staging = self.root / ".staging"  # on the buckets' file system, so that a rename is atomic
        self._write = threading.Lock()
        self._etags: dict[Path, tuple[_Identity, str]] = {}
        shutil.rmtree(self._staging, ignore_errors=True)  # bodies that a killed server was receiving
        self._staging.mkdir(parents=True)

    # --- buckets

    def buckets(self) -> list[str]:
        return sorted(entry.name for entry in os.scandir(self.root) if entry.is_dir() and _BUCKET.fullmatch(entry.name))

    def bucket(self, name: str) -> Path:
        """The folder of a bucket that exists, else NoSuchBucket."""
        if _BUCKET.fullmatch(name) and ".." not in name and (self.root / name).is_dir():
            return self.root / name
        message = f"The specified bucket does not exist: {name} (make the folder {self.root / name})."
        raise S3Error("NoSuchBucket", message, 404)

    def create_bucket(self, name: str) -> None:
        """As in us-east-1: creating one's own bucket again is not an error."""
        if not _BUCKET.fullmatch(name) or ".." in name:
            raise S3Error("InvalidBucketName", f"The specified bucket is not valid: {name!r}.")
        (self.root / name).mkdir(exist_ok=True)

    def prepare_bucket(self, name: str) -> None:
        """Before a write: makes the bucket, if missing ones are to be made."""
        if self._create_buckets:
            self.create_bucket(name)

    def delete_bucket(self, name: str) -> None:
        try:
            self.bucket(name).rmdir()
        except OSError as error:
            raise S3Error("BucketNotEmpty", "The bucket you tried to delete is not empty.", 409) from error

    # --- objects

    def open(self, bucket: str, key: str) -> tuple[BinaryIO, ObjectInfo]:
        """The object's content and what is known of it; the caller closes the file."""
        path = self._path(bucket, key)
        if key.endswith("/"):
            return self._open_marker(path, key)
        try:
            file = path.open("rb")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise _no_such_key(key) from error
        try:
            return file, self._info(key, path, file)
        except BaseException:
            file.close()
            raise

    def head(self, bucket: str, key: str) -> ObjectInfo:
        file, info = self.open(bucket, key)
        file.close()
        return info

    def names(self, bucket: str, prefix: str = "", *, flat: bool = False) -> list[str]:
        """All keys that begin with `prefix`, in S3's order (bytes of UTF-8).

        With `flat`, a folder below the prefix stands for all that lies in it (`folder/`).
        """
        found = _walk(self.bucket(bucket), "", prefix, flat)
        return sorted(found, key=lambda name: name.encode())

    def stage(self, body: Iterable[bytes]) -> Staged:
        """Receives a body into a file of its own; nothing is visible in a bucket yet."""
        path = self._staging / uuid.uuid4().hex
        md5, crc, size = hashlib.md5(usedforsecurity=False), 0, 0
        try:
            with path.open("xb") as out:
                for chunk in body:
                    md5.update(chunk)
                    crc = zlib.crc32(chunk, crc)
                    size += len(chunk)
                    out.write(chunk)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return Staged(path, size, md5.hexdigest(), crc)

    def commit(self, staged: Staged, bucket: str, key: str, condition: Condition = ALWAYS) -> ObjectInfo:
        """Makes a staged body the object, atomically; what was there before is replaced."""
        try:
            path = self._path(bucket, key)
            if key.endswith("/"):
                return self._put_marker(staged, path, key)
            with self._write:
                self._check(condition, bucket, key)
                _place(staged.path, path, key)
            stat = path.stat()
            self._remember(path, _Identity.of(stat), staged.md5)
            return ObjectInfo(key, staged.size, staged.md5, stat.st_mtime)
        finally:
            staged.path.unlink(missing_ok=True)

    def check_key(self, bucket: str, key: str) -> None:
        """Raises S3Error if no object can have this name; call it before a long body is received."""
        self.prepare_bucket(bucket)
        self._path(bucket, key)

    def put(self, bucket: str, key: str, body: Iterable[bytes]) -> ObjectInfo:
        """`check_key`, `stage` and `commit` in one."""
        self.check_key(bucket, key)
        return self.commit(self.stage(body), bucket, key)

    def delete(self, bucket: str, key: str, condition: Condition = ALWAYS) -> None:
        """Deletes the object; not an error if there is none. Folders that become empty go as well."""
        path = self._path(bucket, key)
        home = self.bucket(bucket)
        with self._write:
            if condition.if_match:
                self._check(condition, bucket, key)
            try:
                path.rmdir() if key.endswith("/") else path.unlink()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
                return  # not an object; unlinking a folder is a PermissionError on macOS
            except OSError:
                return  # a marker whose folder holds objects was never an object of its own
            self._etags.pop(path, None)
            for parent in path.parents:
                if parent == home:
                    break
                try:
                    parent.rmdir()
                except OSError:
                    break

    # --- inside

    def _path(self, bucket: str, key: str) -> Path:
        home = self.bucket(bucket)
        parts = key.removesuffix("/").split("/")
        if "\0" in key or any(part in ("", ".", "..") for part in parts):
            message = f"The key {key!r} cannot be a file's path: a part of it is empty, '.' or '..'"
            raise S3Error("InvalidArgument", f"{message} (local S3 only).")
        if any(len(part.encode()) > 255 for part in parts):
            raise S3Error("KeyTooLongError", "A part of the key has more than 255 bytes (local S3 only).")
        return home.joinpath(*parts)

    def _info(self, key: str, path: Path, file: BinaryIO) -> ObjectInfo:
        stat = os.fstat(file.fileno())
        before = _Identity.of(stat)
        known = self._etags.get(path)
        if known and known[0] == before:
            return ObjectInfo(key, stat.st_size, known[1], stat.st_mtime)
        digest = hashlib.md5(usedforsecurity=False)
        for chunk in iter(lambda: file.read(CHUNK), b""):
            digest.update(chunk)
        etag = digest.hexdigest()
        file.seek(0)
        after = os.fstat(file.fileno())
        # Not while somebody writes it, nor so soon that a later write could leave the same time behind.
        if _Identity.of(after) == before and time.time_ns() - before.ctime_ns > _SETTLED_NS:
            self._remember(path, before, etag)
        return ObjectInfo(key, after.st_size, etag, after.st_mtime)

    def _remember(self, path: Path, identity: _Identity, etag: str) -> None:
        if len(self._etags) >= _REMEMBERED:
            self._etags.clear()
        self._etags[path] = (identity, etag)

    def _open_marker(self, path: Path, key: str) -> tuple[BinaryIO, ObjectInfo]:
        try:
            empty = not any(path.iterdir())
            modified = path.stat().st_mtime
        except (FileNotFoundError, NotADirectoryError):
            empty = False
        if not empty:
            raise _no_such_key(key)
        return Path(os.devnull).open("rb"), ObjectInfo(key, 0, _EMPTY, modified)

    def _put_marker(self, staged: Staged, path: Path, key: str) -> ObjectInfo:
        if staged.size:
            raise S3Error("InvalidArgument", f"The key {key!r} ends with '/': it can only be empty.")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise _collision(key) from error
        return ObjectInfo(key, 0, staged.md5, path.stat().st_mtime)

    def _check(self, condition: Condition, bucket: str, key: str) -> None:
        if condition.if_match is None and not condition.if_absent:
            return
        try:
            there = self.head(bucket, key).etag
        except S3Error:
            if condition.if_match is not None:
                raise
            return
        if condition.if_absent or condition.if_match not in (there, "*"):
            raise S3Error("PreconditionFailed", PRECONDITION, 412)


def chunks_of(path: Path) -> Iterator[bytes]:
    """A file's content, a chunk at a time."""
    with path.open("rb") as file:
        yield from iter(lambda: file.read(CHUNK), b"")


def _no_such_key(key: str) -> S3Error:
    return S3Error("NoSuchKey", f"The specified key does not exist: {key}", 404)


def _collision(key: str) -> S3Error:
    message = f"The key {key!r} collides with another: a file is where a folder is needed, or the reverse"
    return S3Error("InvalidRequest", f"{message} (local S3 keeps objects as files).", 409)


def _place(source: Path, path: Path, key: str) -> None:
    for _ in range(10):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            source.replace(path)
            return
        except FileNotFoundError:
            continue  # somebody removed the folder as empty between the two calls
        except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
            raise _collision(key) from error
        except OSError as error:
            if path.is_dir():
                raise _collision(key) from error
            raise
    raise S3Error("OperationAborted", f"The folder of {key!r} is being removed again and again. Try again.", 409)


def _walk(folder: Path, base: str, prefix: str, flat: bool) -> Iterator[str]:
    """Keys below `folder`, whose own key is `base` (empty, or ends with a slash)."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return  # gone since it was listed: Spark renames its folders
    if not entries and base and base.startswith(prefix):
        yield base
    for entry in entries:
        key = base + entry.name
        try:
            key.encode()
        except UnicodeEncodeError:
            continue  # S3 has no name for it
        if entry.is_dir(follow_symlinks=False):
            below = key + "/"
            if flat and below != prefix and below.startswith(prefix):
                yield below
            elif below.startswith(prefix) or prefix.startswith(below):
                yield from _walk(folder / entry.name, below, prefix, flat)
        elif key.startswith(prefix) and entry.is_file():
            yield key
