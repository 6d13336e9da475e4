"""Where to read on about a fault: in the pipeline's playbook where that treats it, else in the docs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from sluicegate.faults.catalogue import CATALOGUE

__all__ = ["Playbook", "docs_section", "playbook_section", "section"]


@dataclass(frozen=True)
class Playbook:
    """A pipeline's page: its name, and its text as far as it is known.

    In Airflow it is part of what the DAG's page shows under *Docs*, and the text may be all of that.
    """

    name: str
    text: str = ""

    @classmethod
    def of(cls, dag: object, pipeline: str) -> Playbook:
        """That of a DAG, which may be written by hand and have none."""
        return cls(getattr(dag, "playbook", "") or pipeline, getattr(dag, "doc_md", None) or "")

    def treats(self, code: str) -> bool:
        """Whether it has a section for the fault: a heading that is the code."""
        return re.search(rf"^#{{1,6}}[ \t]+`?{re.escape(code)}`?[ \t]*$", self.text, re.MULTILINE) is not None


def section(code: str, playbook: Playbook) -> str:
    """`playbooks/orders.md#source_missing`, or the section of the docs where the playbook has none.

    Nothing for a fault of the pipeline's own that its playbook does not treat: the docs do not know it.
    """
    if playbook.treats(code):
        return playbook_section(playbook.name, code)
    return docs_section(code) if code in CATALOGUE else ""


def playbook_section(playbook: str, code: str) -> str:
    """Where the page `playbook` treats `code`: `playbooks/orders.md#source_missing`."""
    return f"playbooks/{playbook}.md#{code.lower()}"


def docs_section(code: str) -> str:
    """Where the docs treat `code`: below `[sluicegate] docs_url` as far as it is set, else `docs/faults.md#…`."""
    return f"{_faults_page(_docs_url())}#{code.lower()}"


def _faults_page(docs_url: str) -> str:
    if not docs_url:
        return "docs/faults.md"
    if "{page}" in docs_url:
        return docs_url.replace("{page}", "faults")
    return f"{docs_url.rstrip('/')}/faults.md"


@lru_cache(maxsize=1)
def _docs_url() -> str:
    from airflow.sdk.configuration import conf

    return str(conf.get("sluicegate", "docs_url", fallback="")).strip()
