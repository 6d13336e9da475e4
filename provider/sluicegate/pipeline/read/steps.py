"""The steps of a file: their kinds, and the keys that all kinds have; each kind's own are read elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sluicegate.pipeline.diagnostics import Where, did_you_mean
from sluicegate.pipeline.keys.base import Mark, keys_of, marks_of
from sluicegate.pipeline.keys.model import (
    After,
    FetchStep,
    LoadStep,
    OperatorStep,
    PythonStep,
    Read,
    Retries,
    SparkStep,
    Step,
    StepBase,
    TransformStep,
)
from sluicegate.pipeline.read.code_steps import read_operator, read_python, read_transform
from sluicegate.pipeline.read.context import Raw, Site, check_file
from sluicegate.pipeline.read.datasets import Bound, Side
from sluicegate.pipeline.read.fetch_step import read_fetch
from sluicegate.pipeline.read.groups import read_group
from sluicegate.pipeline.read.load_step import read_load
from sluicegate.pipeline.read.mapped import read_for_each
from sluicegate.pipeline.read.spark_step import read_spark
from sluicegate.pipeline.read.teardowns import read_teardown_of
from sluicegate.pipeline.read.validate import (
    LONGEST,
    invalid_name,
    known_keys,
    mapping,
    shown,
    text,
    validate,
)

__all__ = ["COMMON", "KINDS", "Steps"]

_MODELS: Mapping[str, type[StepBase]] = {
    "load": LoadStep,
    "fetch": FetchStep,
    "spark": SparkStep,
    "transform": TransformStep,
    "python": PythonStep,
    "operator": OperatorStep,
}
COMMON = keys_of(StepBase)
KINDS: Mapping[str, tuple[str, ...]] = {
    kind: tuple(key for key in keys_of(model) if key not in COMMON and key != kind) for kind, model in _MODELS.items()
}
"""By kind, the keys that are its own."""
_ID = re.compile(rf"[A-Za-z0-9_.-]{{1,{LONGEST}}}")
_SIDES: tuple[Side, Side] = ("reads", "writes")
_READERS: Mapping[str, Callable[[Raw, Raw, Where, Site], Step | None]] = {
    "load": read_load,
    "fetch": read_fetch,
    "spark": read_spark,
    "transform": read_transform,
    "python": read_python,
    "operator": read_operator,
}


@dataclass(frozen=True)
class Steps:
    """Reads the `steps:` section of one pipeline."""

    site: Site

    def read(self, value: object) -> tuple[dict[str, Step], dict[str, Step | None]]:
        """The steps that are right, by name, in the file's order, and the others as far as they could be read."""
        if value is None or value == {}:
            self.site.report.error(
                ("steps",), "missing-key", "a pipeline needs at least one step under `steps:`", key=True
            )
            return {}, {}
        steps: dict[str, Step] = {}
        unfinished: dict[str, Step | None] = {}
        raw_steps = mapping(value, ("steps",), self.site.report)
        for name, raw in raw_steps.items():
            where: Where = ("steps", name)
            errors, lost = self.site.report.errors, self.site.datasets.lost
            if wrong := invalid_name(name):
                self.site.report.error(where, "name", wrong, key=True)
            if not isinstance(raw, dict):
                self.site.report.error(where, "type", f"expected a step's keys and values, not {shown(raw)}")
                unfinished[name] = None
                continue
            step = self._step(name, raw, where, frozenset(raw_steps))
            # A dataset whose own error is noted elsewhere adds no error here, and yet this step cannot be made.
            if step is not None and (errors, lost) == (self.site.report.errors, self.site.datasets.lost):
                steps[name] = step
            else:
                unfinished[name] = step
        return steps, unfinished

    def _step(self, name: str, raw: Raw, where: Where, names: frozenset[str]) -> Step | None:
        kinds = [key for key in raw if key in KINDS]
        if not kinds:
            misspelt = {key: found for key in raw if (found := did_you_mean(key, KINDS))}
            key, meant = next(iter(misspelt.items()), (None, None))
            message = f"a step needs one of {', '.join(KINDS)}"
            at = where if key is None else (*where, key)
            self.site.report.error(at, "missing-key", message, key=True, suggestion=meant)
            if meant is None:
                self._without_kind(name, raw, where, names)
                return None
            # The rest is read as probably meant.
            raw = {meant if each == key else each: value for each, value in raw.items()}
            kinds = [meant]
        for second in kinds[1:]:
            self.site.report.error(
                (*where, second),
                "two-kinds",
                f"this step is a `{kinds[0]}` already: a step has one kind",
                key=True,
            )
        kind = kinds[0]
        given = self._known(raw, kind, where)
        made = self._common(name, given, _MODELS[kind], where, names)
        self._bind(_MODELS[kind], given, made, where)
        return _READERS[kind](given, made, where, self.site)

    def _without_kind(self, name: str, raw: Raw, where: Where, names: frozenset[str]) -> None:
        """The diagnostics of the keys that all kinds have."""
        every = {*COMMON, *(key for keys in KINDS.values() for key in keys)}
        given = known_keys(raw, every, where, self.site.report, "a step")
        made = self._common(name, given, StepBase, where, names)
        validate(StepBase, made, where, self.site.report)

    def _bind(self, model: type[StepBase], given: Raw, made: Raw, where: Where) -> None:
        """Read the keys that are a dataset, which is bound under the key's name, or a file that has to be there."""
        for key in filter(given.__contains__, keys_of(model)):
            at, marks = (*where, key), marks_of(model, key)
            side: Side | None = "reads" if Mark.READS in marks else "writes" if Mark.WRITES in marks else None
            if side is not None:
                if key in made[side]:
                    self.site.report.error((*where, side), "duplicate-binding", f"`{key}` is the step's own binding")
                bound = self._bound(side, given[key], at)
                made[side] |= {} if bound is None else {key: bound}
                # What did not come out right is noted already; a stand-in lets the rest of the step be checked.
                made[key] = bound or (Read(dataset="x") if side == "reads" else "x")
            elif Mark.FILE in marks and given[key] is not None:
                path = text(given[key], at, self.site.report)
                made[key] = path
                if path is not None:
                    check_file(path, at, self.site)

    def _known(self, raw: Raw, kind: str, where: Where) -> Raw:
        allowed = (*KINDS, *COMMON, *KINDS[kind])
        rest = {}
        for key, value in raw.items():
            owners = [other for other, keys in KINDS.items() if key in keys and other != kind]
            if key not in allowed and owners:
                message = f"`{key}` belongs to {' and '.join(owners)} steps, this is a {kind} step"
                self.site.report.error((*where, key), "unknown-key", message, key=True)
            else:
                rest[key] = value
        # The nearest key of any kind is what was meant; it is not a suggestion where it is another kind's.
        every = {*allowed, *(key for keys in KINDS.values() for key in keys)}
        return known_keys(rest, allowed, where, self.site.report, f"a {kind} step", near=every)

    def _common(self, name: str, given: Raw, model: type[StepBase], where: Where, names: frozenset[str]) -> Raw:
        """What the step says, as it is, but for what needs more than its model knows."""
        self.site.datasets.mapped = given.get("for_each") is not None
        for side in _SIDES:
            given[f"says_{side}"] = bool(given.get(side))
            given[side] = self.site.datasets.bindings(given.get(side), (*where, side), side)
        made: Raw = {key: given[key] for key in keys_of(model) if given.get(key) is not None}
        made["name"] = name
        for side in _SIDES:
            made[side] = self._all_bound(side, given[side])
        made["after"] = self._after(given.get("after"), name, (*where, "after"), names)
        made["retries"] = self._retries(given.get("retries"), (*where, "retries"))
        if given.get("for_each") is not None:
            made["for_each"] = read_for_each(given["for_each"], name, names, (*where, "for_each"), self.site)
        if given.get("group") is not None:
            made["group"] = read_group(given["group"], (*where, "group"), self.site)
        if given.get("teardown_of") is not None:
            at = (*where, "teardown_of")
            made["teardown_of"] = read_teardown_of(given["teardown_of"], name, names, at, self.site)
        return made

    def _all_bound(self, side: Side, bound: Bound) -> dict[str, Any]:
        found = {binding: self._bound(side, raw, at) for binding, (raw, at) in bound.items()}
        return {binding: one for binding, one in found.items() if one is not None}

    def _bound(self, side: Side, raw: object, at: Where) -> Read | str | None:
        """What is read, or the key of the dataset that is written."""
        if side == "reads":
            return self.site.datasets.read(raw, at)
        words = text(raw, at, self.site.report, "a dataset or a URI")
        return self.site.datasets.refer(words, at, "writes") if words is not None else None

    def _retries(self, raw: object, where: Where) -> Retries:
        """The pipeline's, with what the step says otherwise."""
        if raw is None:
            return self.site.retries
        own = validate(Retries, raw, where, self.site.report)
        return self.site.retries if own is None else self.site.retries.model_copy(update=_said(own))

    def _after(self, raw: object, own: str, where: Where, names: frozenset[str]) -> tuple[After, ...]:
        if raw is None:
            return ()
        items = list(enumerate(raw)) if isinstance(raw, list) else [(None, raw)]
        found = []
        for index, item in items:
            at = where if index is None else (*where, index)
            if isinstance(item, dict):
                after = self._after_foreign(item, at)
                if after is not None:
                    found.append(after)
            elif (name := text(item, at, self.site.report, After)) is not None:
                if name == own:
                    self.site.report.error(at, "cycle", f"`{name}` cannot come after itself")
                elif name not in names:
                    hint = "; another DAG's is {dag: …, task: …}" if "." in name else ""
                    meant = did_you_mean(name, names - {own})
                    self.site.report.error(
                        at, "missing-step", f"there is no step {shown(name)}{hint}", suggestion=meant
                    )
                else:
                    found.append(After(step=name))
        return tuple(found)

    def _after_foreign(self, raw: Raw, where: Where) -> After | None:
        given = known_keys(raw, keys_of(After), where, self.site.report, "`after`")
        if given.get("dag") is None:
            self.site.report.error(where, "missing-key", "`dag` is missing: {dag: old_dag, task: export}", key=True)
            return None
        for key in ("dag", "task"):
            named = given.get(key)
            if isinstance(named, str) and not _ID.fullmatch(named):
                message = f"{shown(named)} is not an Airflow id: letters, digits, `_`, `-` and `.`, {LONGEST} at most"
                self.site.report.error((*where, key), "name", message)
                return None
        if given.get("task") is None and given.get("on_upstream_skipped") is not None:
            message = "`on_upstream_skipped` is for a `task`: a whole run is never skipped"
            self.site.report.error((*where, "on_upstream_skipped"), "value", message, key=True)
        return validate(After, given, where, self.site.report)


def _said(retries: Retries) -> dict[str, Any]:
    return {name: getattr(retries, name) for name in retries.model_fields_set}
