"""A process that fetches from an API, to be killed: `python fetcher.py <url> <folder>`."""

from __future__ import annotations

import sys
from pathlib import Path

from sluicegate.sources import fetch as fetching
from sluicegate.sources.fetch import fetch_api
from sluicegate.storage import Storage
from sluicegate.storage.web import Web
from tests.sources.conftest import Folder

if __name__ == "__main__":
    url, place = sys.argv[1:]
    fetching.PART_BYTES = 1
    folder = Folder(Path(place))
    asked = {"api": url, "pages": {"by": "page"}}
    print(fetch_api(folder.request(asked), Web(), Storage(), folder.work).line())
