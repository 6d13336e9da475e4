"""Where a dataset is, for one run: its URI's template, rendered with the right windows.

Rendering is a sandboxed Jinja of ours that knows `window`, `ds`, `params` and the `item` of a mapped step and
nothing else, so that the same URI comes out in a task, on the command line and in a reader's pipeline.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sluicegate.graph.template import render
from sluicegate.graph.window import Window, upstream_windows
from sluicegate.pipeline.keys.model import Format, Schedule

__all__ = ["Location", "render"]


@dataclass(frozen=True)
class Location:
    """A dataset as one step sees it.

    `upstream` is the schedule of the pipeline that writes it when that is another one: the URI is then
    rendered once for every upstream window that ends inside the reader's. None: own window.
    `timezone` is that of the pipeline the dataset belongs to; `ds` is the day there.
    `connection`: the Airflow connection that the dataset itself names.
    `items`: the URI is rendered once for each of them.
    `writers`: the steps of the upstream that write it.
    """

    dataset: str
    template: str
    format: Format | None = None
    upstream: Schedule | None = None
    latest: bool = False
    timezone: str = "UTC"
    items: tuple[Any, ...] = ()
    connection: str | None = None
    writers: tuple[str, ...] = ()

    def is_of_several(self, window: Window) -> bool:
        """Whether several windows of the upstream write it for one that reads in `window`."""
        return self.upstream is not None and not self.latest and len(upstream_windows(self.upstream, window)) > 1

    def render(
        self, window: Window, params: Mapping[str, Any], *, without: Container[datetime] = (), **names: Any
    ) -> tuple[str, ...]:
        """The URIs, each once, in the order of their windows; one, unless `upstream` has several in `window`.

        :param without: where windows of the upstream begin that have written nothing; left out unless all are
        :param names: what a template knows besides: the `item` of a mapped step
        :raises ValueError: when the template is wrong, or no window of the upstream ends in `window`.
        """
        if self.upstream is None or self.latest:
            own = window.in_zone(self.timezone)
            each = [{"item": item} for item in self.items] or [names]
            return tuple(dict.fromkeys(render(self.template, window=own, params=params, **more) for more in each))
        windows = upstream_windows(self.upstream, window)
        if not windows:
            raise ValueError(f"no window of {self.dataset.partition('.')[0]} ends in {window}")
        windows = tuple(theirs for theirs in windows if theirs.start not in without) or windows
        timezone = self.upstream.timezone
        uris = (render(self.template, window=theirs.in_zone(timezone), params={}) for theirs in windows)
        return tuple(dict.fromkeys(uris))
