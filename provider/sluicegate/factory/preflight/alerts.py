"""What is wrong with the channels of a pipeline: notifiers that do not exist, arguments that they do not take, faults
that there are not. A notifier is imported here, never where a DAG is parsed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sluicegate.alerts.words import given_words
from sluicegate.factory.arguments.coerce import Typist
from sluicegate.factory.arguments.imports import imported
from sluicegate.factory.fault_rules import known_faults
from sluicegate.factory.unplaced import BuildError, UnplacedDiagnostic
from sluicegate.faults import FaultClass
from sluicegate.pipeline.diagnostics import Where, did_you_mean
from sluicegate.pipeline.keys.alerts import Channel, channels_of
from sluicegate.pipeline.keys.model import Pipeline
from sluicegate.runtime.signatures import arguments_of, missing_arguments, takes_any

__all__ = ["alert_diagnostics"]


def alert_diagnostics(pipeline: Pipeline) -> Iterator[UnplacedDiagnostic]:
    for name, channel in channels_of(pipeline.alerts).items():
        at: Where = ("alerts", name)
        yield from _faults(channel, known_faults(pipeline), at)
        yield from _notifier(channel, pipeline, at)


def _faults(channel: Channel, known: Collection[str], at: Where) -> Iterator[UnplacedDiagnostic]:
    classes = [kind.value for kind in FaultClass]
    for index, fault in enumerate(channel.faults):
        if fault in known or fault in classes:
            continue
        meant = did_you_mean(fault.upper(), known) or did_you_mean(fault.lower(), classes)
        message = f"`{fault}` is neither the code of a fault nor a class ({', '.join(classes)})"
        yield UnplacedDiagnostic((*at, "faults", index), "fault", message, suggestion=meant)


def _notifier(channel: Channel, pipeline: Pipeline, at: Where) -> Iterator[UnplacedDiagnostic]:
    try:
        kind = imported(channel.notifier or "", (*at, "notifier"), fits=_is_notifier, what="notifier of Airflow")
    except BuildError as error:
        yield from error.diagnostics
        return
    where = (*at, "with")
    wrong = list(_names(kind, channel.with_, where))
    yield from wrong
    typist = Typist(pipeline.root, pipeline.schedule.timezone, list(wrong))
    made = typist.arguments(kind, channel.with_, where, templates=frozenset(kind.template_fields))
    yield from typist.diagnostics[len(wrong) :]
    if len(typist.diagnostics) == len(wrong):
        for name, value in made.items():
            if value != channel.with_[name]:
                message = f"`{name}` of {kind.__name__} is not plain text, number or list, and cannot be given here"
                yield UnplacedDiagnostic((*where, name), "argument", message)


def _names(kind: type, given: Mapping[str, Any], where: Where) -> Iterator[UnplacedDiagnostic]:
    known = arguments_of(kind) - {"context"}
    for name in given if not takes_any(kind) else ():
        if name not in known:
            message = f"{kind.__name__} takes no argument `{name}`"
            meant = did_you_mean(name, sorted(known))
            yield UnplacedDiagnostic((*where, name), "argument", message, key=True, suggestion=meant)
    filled = {*given, *given_words(kind, given)}
    if missing := missing_arguments(kind, dict.fromkeys(filled)):
        names = ", ".join(f"`{name}`" for name in missing)
        # A key that is misspelt has its diagnostic already.
        yield UnplacedDiagnostic(where if given else where[:-1], "argument", f"{kind.__name__} needs {names}", key=True)


def _is_notifier(value: object) -> bool:
    from airflow.sdk.bases.notifier import BaseNotifier

    return isinstance(value, type) and issubclass(value, BaseNotifier)
