"""The page that Great Expectations makes of results, so that it can be read by itself, and where there is no internet.

Its icons and styles come from the internet, and without them a reader would not see which expectations hold.
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

__all__ = ["page_of"]

_LINK = re.compile(r'<a href="\.\./[^>]*>(.*?)</a>|<link [^>]*href="\.\./[^>]*>', re.DOTALL)
"""To other files of a site of Data Docs, which there is none of."""
_STYLE = """<style>
body { font-family: sans-serif; }
table { border-collapse: collapse; margin-bottom: 1em; }
td, th { border-bottom: 1px solid #ccc; padding: .25em .75em; text-align: left; vertical-align: top; }
.fa-check-circle::before { content: "\\2714"; color: green; }
.fa-times::before { content: "\\2718"; color: #c00; }
.fa-exclamation-triangle::before { content: "\\26A0"; color: #c80; }
</style>"""
"""What holds until the page's own styles are there, which come later."""


def page_of(document: Mapping[str, Any]) -> str:
    """The page of results that are read from their JSON."""
    os.environ["GX_ANALYTICS_ENABLED"] = "False"
    import great_expectations
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResultSchema
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    shown = deepcopy(dict(document))
    shown["meta"] |= {
        "great_expectations_version": great_expectations.__version__,
        "batch_spec": {"data_asset_name": shown["meta"].get("source")},
    }
    for result in shown["results"]:
        samples = result["result"].get("partial_unexpected_list", [])
        # Of several values the page would make one word.
        samples[:] = [str(tuple(sample)) if isinstance(sample, list) else sample for sample in samples]
        # The page takes values as HTML, and they are what the source says.
        result["result"] = _escaped(result["result"])
    results = ExpectationSuiteValidationResultSchema().load(shown)
    page: str = DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(results))
    return _LINK.sub(lambda link: link[1] or "", page.replace("<head>", f"<head>\n{_STYLE}", 1))


def _escaped(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {html.escape(name): _escaped(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_escaped(each) for each in value]
    return html.escape(value) if isinstance(value, str) else value
