"""Multipart uploads: parts wait in a folder beside the buckets, over restarts too, until joined."""

from __future__ import annotations

import json
import re
import shutil
import threading
import uuid
from contextlib import suppress
from pathlib import Path

from sluicegate.local.aws.objects import ALWAYS, Condition, ObjectInfo, Objects, S3Error, Staged, chunks_of

MIN_PART = 5 * 1024 * 1024
_UPLOAD_ID = re.compile(r"[0-9a-f]{32}")


class Uploads:
    """The open multipart uploads of a store."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._folder = objects.root / ".uploads"
        self._folder.mkdir(exist_ok=True)
        self._lock = threading.Lock()

    def begin(self, bucket: str, key: str) -> str:
        self._objects.check_key(bucket, key)
        upload_id = uuid.uuid4().hex
        folder = self._folder / upload_id
        folder.mkdir()
        (folder / "target.json").write_text(json.dumps({"bucket": bucket, "key": key}))
        return upload_id

    def add_part(self, upload_id: str, bucket: str, key: str, number: int, staged: Staged) -> str:
        """Adds or replaces a part; returns its entity tag."""
        try:
            folder = self._upload(upload_id, bucket, key)
            if not 1 <= number <= 10_000:
                raise S3Error("InvalidArgument", "The part number must be between 1 and 10000.")
            with self._lock:
                for old in folder.glob(f"{number:05d}.*"):
                    old.unlink()
                staged.path.replace(folder / f"{number:05d}.{staged.md5}")
            return staged.md5
        finally:
            staged.path.unlink(missing_ok=True)

    def parts(self, upload_id: str, bucket: str, key: str) -> list[tuple[int, str, Path]]:
        """(number, entity tag, file) in order."""
        folder = self._upload(upload_id, bucket, key)
        found = (path for path in sorted(folder.iterdir()) if path.name[:5].isdigit())
        return [(int(path.name[:5]), path.name[6:], path) for path in found]

    def complete(
        self,
        upload_id: str,
        bucket: str,
        key: str,
        wanted: list[tuple[int, str]],
        condition: Condition = ALWAYS,
    ) -> ObjectInfo:
        """Joins the wanted parts (number, entity tag) into the object."""
        have = {number: (etag, path) for number, etag, path in self.parts(upload_id, bucket, key)}
        if not wanted or [number for number, _ in wanted] != sorted({number for number, _ in wanted}):
            raise S3Error("InvalidPartOrder", "The list of parts was not in ascending order, or is empty.")
        if any(number not in have or have[number][0] != etag for number, etag in wanted):
            raise S3Error("InvalidPart", "One or more of the specified parts could not be found, or changed.")
        paths = [have[number][1] for number, _ in wanted]
        if any(path.stat().st_size < MIN_PART for path in paths[:-1]):
            raise S3Error("EntityTooSmall", "All parts but the last must have at least 5 MiB.")
        staged = self._objects.stage(chunk for path in paths for chunk in chunks_of(path))
        info = self._objects.commit(staged, bucket, key, condition)
        shutil.rmtree(self._folder / upload_id, ignore_errors=True)
        return info

    def abort(self, upload_id: str, bucket: str, key: str) -> None:
        shutil.rmtree(self._upload(upload_id, bucket, key))

    def _upload(self, upload_id: str, bucket: str, key: str) -> Path:
        folder = self._folder / upload_id
        if _UPLOAD_ID.fullmatch(upload_id):
            with suppress(FileNotFoundError):
                if json.loads((folder / "target.json").read_text()) == {"bucket": bucket, "key": key}:
                    return folder
        raise S3Error("NoSuchUpload", "The specified multipart upload does not exist.", 404)
