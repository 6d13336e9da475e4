"""Where a dataset is, for one run: its URI's template, rendered with the right windows.

Rendering is a sandboxed Jinja of ours that knows `window`, `ds` and `params` and nothing else, so that
the same URI comes out in a task, on the command line and in a reader's pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sluicegate.pipeline.model import Format, Schedule
from sluicegate.pipeline.window import Window

__all__ = ["Location", "render"]


def render(template: str, *, window: Window, params: Mapping[str, Any]) -> str:
    """`template` with `window`, `ds` and `params` filled in.

    :raises ValueError: when the template uses a name that does not exist.
    """
    raise NotImplementedError


@dataclass(frozen=True)
class Location:
    """A dataset as one step sees it.

    `upstream` is the schedule of the pipeline that writes it when that is another one: the URI is then
    rendered once for every upstream window that ends inside the reader's (`window_rule`). None: own window.
    """

    dataset: str
    template: str
    format: Format | None = None
    upstream: Schedule | None = None
    latest: bool = False

    def render(self, window: Window, params: Mapping[str, Any]) -> tuple[str, ...]:
        """The URIs, in the order of their windows; one, unless `upstream` has several windows in `window`."""
        raise NotImplementedError
