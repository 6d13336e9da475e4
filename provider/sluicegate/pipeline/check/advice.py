"""What a pipeline that works still lacks for the night when it fails: owner, freshness, checks, playbook.

Warnings, and only `check` asks for them: they cost nothing where DAGs are parsed and are never import errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from sluicegate.pipeline.diagnostics import Diagnostic, PipelineErrors, Where
from sluicegate.pipeline.text.environment import Environment
from sluicegate.pipeline.text.source import Source

__all__ = ["advice"]


def advice(
    file: Path, root: Path, names: Iterable[str], playbooks: Path, environment: Environment | None = None
) -> tuple[Diagnostic, ...]:
    """What `file` lacks; nothing is said of a file that is not YAML.

    :param names: the pipelines that it makes
    :param playbooks: the folder with a page for each pipeline, `<name>.md`
    """
    try:
        source = Source.open(file, root, environment)
    except (PipelineErrors, OSError):
        return ()
    return (*_owner(source), *_fresh_within(source), *_checks(source), *_playbooks(source, names, playbooks))


def _owner(source: Source) -> Iterator[Diagnostic]:
    if source.value.get("owner") is None:
        message = "nobody is named to be called when this fails: `owner: team`, here or in `defaults.yaml`"
        yield _warning(source, ("owner",), "no-owner", message)


def _fresh_within(source: Source) -> Iterator[Diagnostic]:
    schedule = source.value.get("schedule")
    scheduled = isinstance(schedule, dict) and schedule.get("cron") is not None
    if scheduled and source.value.get("fresh_within") is None:
        message = "nobody can tell when this is late: `fresh_within: 30h` says how old its data may be"
        yield _warning(source, ("schedule",), "no-fresh-within", message)


def _checks(source: Source) -> Iterator[Diagnostic]:
    steps = source.value.get("steps")
    for name, step in steps.items() if isinstance(steps, dict) else ():
        if not isinstance(step, dict) or "load" not in step or step.get("checks") == []:
            continue  # an empty list says that nothing is expected, and that this is meant
        if not any(step.get(key) for key in ("columns", "checks", "suite")):
            message = f"`{name}` loads whatever comes: say what is expected with `columns`, `checks` or `suite`"
            yield _warning(source, ("steps", name), "no-checks", f"{message}; `checks: []` if that is meant")


def _playbooks(source: Source, names: Iterable[str], playbooks: Path) -> Iterator[Diagnostic]:
    lacking = [name for name in names if not (playbooks / f"{name}.md").is_file()]
    if lacking and not (playbooks / f"{source.file.stem}.md").is_file():
        # The pages of all combinations of a matrix may be one, called like the file.
        page = f"{playbooks.name}/{lacking[0] if len(lacking) == 1 else source.file.stem}.md"
        yield _warning(source, (), "no-playbook", f"there is no page for who is called at night: `{page}`")


def _warning(source: Source, where: Where, code: str, message: str) -> Diagnostic:
    """In the file itself, also where its defaults decide: they are not to blame for what they leave open."""
    document = source.layers[0]
    _, _, place, _ = document.follow(where)
    return document.diagnostic(code, message, place, where, "warning")
