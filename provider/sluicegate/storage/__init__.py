"""Datasets as bytes: what is at a URI, in which version, fetched and written whole. Local paths and S3."""

from __future__ import annotations

from sluicegate.storage.filetype import FileType, file_type
from sluicegate.storage.part import Part, version
from sluicegate.storage.storage import Storage
from sluicegate.storage.uri import Address, parse_uri

__all__ = ["Address", "FileType", "Part", "Storage", "file_type", "parse_uri", "version"]
