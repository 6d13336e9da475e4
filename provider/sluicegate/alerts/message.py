"""An alert: all that a person has to know at 2 am, as values and in words. Imports no Airflow, has no secrets.

Who makes one has masked what is in it.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from typing import Any

from sluicegate.alerts.routing import LATE, severity_of
from sluicegate.faults import Fault, FaultClass
from sluicegate.graph.window import Window
from sluicegate.pipeline.keys.alerts import Severity

__all__ = ["TEST", "Alert"]

TEST = Fault("ALERT_TEST", FaultClass.DATA, "This is a test of a channel.", "Nothing.", frozenset())
"""What a person sends to see whether a channel works. It is in no catalogue: nothing can fail by it."""

_HAPPENED = {
    "PIPELINE_LATE": "is late",
    "PIPELINE_STALLED": "has not run",
    "ALERT_UNDELIVERED": "could not send an alert",
    "CIRCUIT_OPEN": "does not work",
    TEST.code: "tests its alerts",
}
_DETAIL = 2000
_TITLE = 200
_VALUE = 200


@dataclass(frozen=True)
class Alert:
    """One fault of one run, or of a pipeline as a whole (then `step` and `run_id` are empty).

    :param occasion: what it is that happened once, where there is no run: the day of a deadline
    :param subject: what the fault is about, as far as it is known: a connection, a dataset, an upstream
    :param params: those of the run, masked
    :param written: what was and what was not written, a sentence each
    :param log: the address of the task's log
    :param playbook: the section that treats the fault, an address or a path
    :param tries: how often the step was tried
    :param round: how often a person had cleared something of the run: what fails after that is a new message
    :param of: of an alert that could not be delivered, its fault
    """

    pipeline: str
    fault: Fault
    detail: str = ""
    step: str = ""
    run_id: str = ""
    map_index: int = -1
    window: Window | None = None
    occasion: str = ""
    subject: str = ""
    said: Severity | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    written: tuple[str, ...] = ()
    log: str = ""
    playbook: str = ""
    owner: str = ""
    tries: int = 0
    round: int = 0
    of: str = ""
    airflow: str = ""
    """Airflow's address, where the recovery's command has to name it."""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def code(self) -> str:
        return self.fault.code

    @property
    def severity(self) -> Severity:
        return self.said or severity_of(self.fault)

    @property
    def dedupe_key(self) -> str:
        """The same for all messages about one fault of one run: PagerDuty, Alertmanager and threads group by it."""
        what = f"{self.code}:{self.of}" if self.of else self.code
        return "/".join(part for part in (self.pipeline, self.run_id or self.occasion, what) if part)

    @property
    def group_key(self) -> str:
        """The same for all alerts with one cause, in whichever pipeline: the fault, and what it is about."""
        return f"{self.code}:{self.subject}" if self.subject else self.code

    @property
    def recovery(self) -> str:
        """The command that shows what would run again."""
        which = ["--run", f"{self.pipeline}/{self.run_id}"] if self.run_id else ["--pipeline", self.pipeline]
        where = ["--url", self.airflow] if self.airflow else []
        return shlex.join(["sluicegate", "recover", "plan", *which, *where])

    @property
    def place(self) -> str:
        """`orders.load_orders[3]`."""
        name = f"{self.pipeline}.{self.step}" if self.step else self.pipeline
        return f"{name}[{self.map_index}]" if self.map_index >= 0 else name

    @property
    def title(self) -> str:
        """One line: a subject of a mail, a summary of an incident."""
        happened = _HAPPENED.get(self.code, "failed")
        day = f" for {_moment(self.window.start)}" if self.window is not None else ""
        return " ".join(f"{self.place} {happened}{day}: {self.code}".split())[:_TITLE]

    def facts(self) -> dict[str, str]:
        """What there is to say, by name, in the order in which it is read. Nothing empty."""
        said = {
            "what happened": _cut(self.detail, _DETAIL),
            "what to do": self.fault.remedy,
            "written": " ".join(self.written),
            "window": _window(self.window),
            "run": self.run_id,
            "tries": str(self.tries) if self.tries > 1 else "",
            "params": ", ".join(f"{name}={_cut(str(value), _VALUE)}" for name, value in self.params.items()),
            "owner": self.owner,
            "log": self.log,
            "playbook": self.playbook,
            "recover": "" if self.code in {"ALERT_UNDELIVERED", "CIRCUIT_OPEN", TEST.code} else self.recovery,
            "key": self.dedupe_key,
        }
        return {name: words for name, words in said.items() if words}

    def text(self) -> str:
        """Plain text."""
        facts = self.facts()
        width = max(map(len, facts)) + 1
        lines = (f"{name + ':':<{width}} " + _indented(words, width + 1) for name, words in facts.items())
        return "\n".join([f"{self.severity.upper()}: {self.title}", self.fault.sentence, "", *lines])

    def markdown(self) -> str:
        lines = (f"- **{name}:** {_markdown_fact(name, words)}" for name, words in self.facts().items())
        return "\n".join([f"**{self.severity.upper()}: {_markdown(self.title)}**", self.fault.sentence, "", *lines])

    def slack(self) -> str:
        """Slack's own markup, in which the words of an error mention no one."""
        lines = (
            f"*{name}:* {_code(_slack(words)) if name in _CODES else _slack(words)}"
            for name, words in self.facts().items()
        )
        return "\n".join([f"*{self.severity.upper()}: {_slack(self.title)}*", _slack(self.fault.sentence), *lines])

    def html(self) -> str:
        rows = "".join(
            f'<tr><th align="left" valign="top">{escape(name)}</th><td>{_html(name, words)}</td></tr>'
            for name, words in self.facts().items()
        )
        head = f"<h3>{escape(self.severity.upper())}: {escape(self.title)}</h3><p>{escape(self.fault.sentence)}</p>"
        return f'{head}<table cellpadding="4">{rows}</table>'

    def as_dict(self) -> dict[str, Any]:
        """JSON values, for machines. Names are never taken away or given another meaning."""
        return {
            "title": self.title,
            "severity": self.severity.value,
            "pipeline": self.pipeline,
            "step": self.step or None,
            "map_index": self.map_index if self.map_index >= 0 else None,
            "run_id": self.run_id or None,
            "window": None
            if self.window is None
            else {"start": self.window.start.isoformat(), "end": self.window.end.isoformat()},
            "fault": {
                "code": self.code,
                "class": self.fault.kind.value,
                "sentence": self.fault.sentence,
                "detail": _cut(self.detail, _DETAIL),
                "remedy": self.fault.remedy,
                "subject": self.subject or None,
            },
            "is_late": self.code in LATE,
            "undelivered": self.of or None,
            "params": {name: _cut(str(value), _VALUE) for name, value in self.params.items()},
            "written": list(self.written),
            "tries": self.tries,
            "owner": self.owner or None,
            "log": self.log or None,
            "playbook": self.playbook or None,
            "recover": self.recovery,
            "dedupe_key": self.dedupe_key,
            "group_key": self.group_key,
            "at": self.at.isoformat(timespec="seconds"),
        }


_CODES = frozenset({"recover", "key", "run"})
"""The facts that are written as code."""
_OURS = frozenset({"what to do", "log", "playbook"})
"""Those that are Markdown or an address already."""


def _moment(moment: datetime) -> str:
    """A day where it is one."""
    is_day = (moment.hour, moment.minute, moment.second) == (0, 0, 0)
    return moment.strftime("%Y-%m-%d" if is_day else "%Y-%m-%d %H:%M")


def _window(window: Window | None) -> str:
    if window is None:
        return ""
    zone = window.start.tzname() or ""
    if window.start == window.end:
        return f"{_moment(window.start)} {zone}".strip()
    return f"{_moment(window.start)} to {_moment(window.end)} {zone}".strip()


def _cut(text: str, most: int) -> str:
    """`text` within `most` characters; both ends stay, for that is where an error says what it was."""
    if len(text) <= most:
        return text
    half = most // 2 - 4
    return f"{text[:half]} [...] {text[-half:]}"


def _indented(words: str, width: int) -> str:
    return words.replace("\n", "\n" + " " * width)


def _code(words: str) -> str:
    return f"`{words.replace('`', chr(39))}`"


def _markdown(words: str) -> str:
    return "".join(f"\\{sign}" if sign in "*_`[]<>#\\" else sign for sign in words)


def _markdown_fact(name: str, words: str) -> str:
    if name in _CODES:
        return _code(words)
    return words if name in _OURS else _markdown(words)


def _slack(words: str) -> str:
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _html(name: str, words: str) -> str:
    safe = escape(words)
    if name in _CODES:
        return f"<code>{safe}</code>"
    if words.startswith(("http://", "https://")) and not any(sign.isspace() for sign in words):
        return f'<a href="{safe}">{safe}</a>'
    return safe.replace("\n", "<br>")
