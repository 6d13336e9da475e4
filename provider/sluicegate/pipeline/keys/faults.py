"""What a pipeline says of errors that the catalogue does not know, or knows otherwise. How to add a key: see `base`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sluicegate.pipeline.keys.alerts import Severity
from sluicegate.pipeline.keys.base import Mark, Model, Name, Part, SomeOf

__all__ = ["FaultRule", "OwnFault", "Status"]

Status = Annotated[int, Field(ge=100, le=599, strict=True)]


class OwnFault(Part):
    """A named fault: what `is` says. A code of the catalogue alone is enough; a fault of your own has all four keys."""

    _short: ClassVar[str] = "code"

    code: Annotated[Name, Mark.NEEDED]
    """Its code, in capitals. Example: `PARTNER_CLOSED`."""
    class_: Literal["transient", "data", "fatal"] | None = Field(default=None, alias="class")
    """What to do about it: try again (`transient`), look at the data (`data`), or stop at once (`fatal`). Example:
    `transient`."""
    sentence: Name | None = None
    """What happened, for the person on call. Example: `The partner's API is closed for the night.`."""
    remedy: Name | None = None
    """What that person does about it. Example: `Nothing before 06:00; then clear the step.`."""


class FaultRule(Model):
    """A fault rule: which errors are which fault. An error has to meet all conditions that a rule has."""

    _blank: ClassVar[bool] = True

    place: Annotated[int, Mark.MADE] = 0
    """Which entry of the list it is: one that is wrong is left out."""
    error: Name | None = None
    """An exception by its import path (one that is derived from it is meant too), or the code of a fault that would be
    found otherwise. Examples: `requests.exceptions.HTTPError`, `KeyError`, `SOURCE_REJECTED`."""
    matches: Name | None = None
    """A regular expression that is found in the error's words. Example: `(?i)maintenance`."""
    status: SomeOf[Status] = ()
    """The HTTP status of the answer: one, or a list of them. Example: `[409, 423]`."""
    is_: OwnFault | None = Field(default=None, alias="is")
    """The fault that such an error is. Default: the one that it is without the rule. Examples: `SOURCE_UNAVAILABLE`,
    `{code: PARTNER_CLOSED, class: data, sentence: The partner is closed., remedy: Ask them.}`."""
    severity: Severity | None = None
    """How bad it is, for alerts. Default: `critical` where the fault is fatal, else `error`. Example: `warning`."""

    def __hash__(self) -> int:
        return hash((self.error, self.matches, self.status, self.severity))
