"""What a DAG's page in Airflow says: description, owner, and the pipeline's playbook in full."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from airflow.providers.common.compat.sdk import conf

from sluicegate.pipeline.keys.model import Pipeline
from sluicegate.pipeline.text.quantities import format_duration

__all__ = ["doc_md", "older_version", "playbook_page", "playbooks_folder"]


def playbooks_folder(root: Path) -> Path:
    """`[sluicegate] playbooks_folder`, else `playbooks` beside the dags root."""
    configured = conf.get("sluicegate", "playbooks_folder", fallback="")
    return Path(configured).expanduser() if configured else root.parent / "playbooks"


def playbook_page(pipeline: Pipeline, playbooks: Path) -> Path:
    """The page of the pipeline, whether it is there or not; the combinations of a matrix may have one together."""
    page = playbooks / f"{pipeline.name}.md"
    return page.with_stem(pipeline.file.stem) if pipeline.matrix and not page.is_file() else page


def doc_md(pipeline: Pipeline, playbooks: Path) -> str:
    """Markdown. A pipeline without a playbook says so, and where it would have to be."""
    parts = [_facts(pipeline)]
    if pipeline.description:
        parts.insert(0, pipeline.description.strip())
    parts.append(_playbook(playbook_page(pipeline, playbooks)))
    return "\n\n".join(parts) + "\n"


def older_version(file: str, version: str, since: datetime) -> str:
    """Markdown above all else where the newest version of a file is not good."""
    return (
        f"# This DAG runs an older version of `{file}`\n\n"
        f"Version {version}, good since {since:%Y-%m-%d %H:%M} UTC. What is in the file now has "
        "errors, and is not run before they are fixed: see the import errors.\n\n"
    )


def _facts(pipeline: Pipeline) -> str:
    facts = [f"**Owner:** {pipeline.owner}" if pipeline.owner else "**Owner:** not named"]
    if pipeline.fresh_within is not None:
        facts.append(f"**Fresh within:** {format_duration(pipeline.fresh_within)}")
    facts.append(f"**File:** `{_relative(pipeline)}`")
    return " · ".join(facts)


def _relative(pipeline: Pipeline) -> str:
    return str(pipeline.file).removeprefix(f"{pipeline.root}/")


def _playbook(page: Path) -> str:
    try:
        text = page.read_text(encoding="utf-8").strip()
    except OSError:
        return f"*No playbook yet: expected in `{page.parent.name}/{page.name}`.*"
    except UnicodeDecodeError:
        return f"*The playbook `{page.parent.name}/{page.name}` is not UTF-8 and cannot be shown.*"
    return f"---\n\n**Playbook** (`{page.parent.name}/{page.name}`)\n\n{text}"
