"""Takes secrets out of text that is logged or stored: passwords in URLs and DSNs, keys and tokens, `secret=...`."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["MASK", "is_secret", "redact", "redact_facts", "redact_known", "secrets_in"]

MASK = "***"
_TELLING = "passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key"

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # scheme://user:password@host; up to the last @, for people put any sign into a password.
    (
        re.compile(r"(?P<keep>[a-zA-Z][a-zA-Z0-9+.-]{0,30}://[^\s:/@]{0,200}:)(?P<secret>[^\s'\"]{1,500})@"),
        rf"\g<keep>{MASK}@",
    ),
    # A JSON or Python mapping: "secret_access_key": "..."
    (
        re.compile(
            rf"(?P<keep>[\"'](?:[\w-]{{0,60}}(?:{_TELLING}|authorization|cookie)[\w-]{{0,60}}|pwd)[\"']\s{{0,5}}:\s{{0,5}})"
            r"(?P<quote>[\"'])(?P<secret>(?:(?!(?P=quote)).){0,2000})(?P=quote)?",
            re.IGNORECASE,
        ),
        rf"\g<keep>\g<quote>{MASK}\g<quote>",
    ),
    # password=..., X-Amz-Signature=..., in a DSN, a query string or a command line; the value may be quoted.
    (
        re.compile(
            rf"(?P<keep>(?:(?<![\w-])|(?<=--))(?:[\w-]{{0,60}}(?:{_TELLING}|signature)[\w-]{{0,60}}|pwd)"
            r"\s{0,5}=\s{0,5})"
            r"(?P<secret>'[^']{0,2000}'?|\"[^\"]{0,2000}\"?|[^\s'\"&,;)]{1,2000})",
            re.IGNORECASE,
        ),
        rf"\g<keep>{MASK}",
    ),
    (
        re.compile(
            r"(?P<keep>\bAuthorization[\"']?\s{0,5}[:=,]\s{0,5}b?[\"']?(?:Bearer|Basic|Token|Api-?Key|Key)\s{1,5})"
            r"(?P<secret>\S{1,2000})",
            re.IGNORECASE,
        ),
        rf"\g<keep>{MASK}",
    ),
    # A header in a line of its own: X-Api-Key: ...
    (
        re.compile(
            rf"(?P<keep>\bX-[\w-]{{0,60}}(?:{_TELLING})[\w-]{{0,60}}\s{{0,5}}:\s{{0,5}})(?P<secret>\S{{1,2000}})",
            re.IGNORECASE,
        ),
        rf"\g<keep>{MASK}",
    ),
    # What signs an address of Azure's storage.
    (re.compile(r"(?P<keep>[?&]sig=)(?P<secret>[^\s'\"&,;)]{1,2000})", re.IGNORECASE), rf"\g<keep>{MASK}"),
    # Addresses whose path alone lets in.
    (
        re.compile(
            r"(?P<keep>(?:hooks\.slack\.com/(?:services|workflows|triggers)|webhook\.office\.com/webhookb2|"
            r"discord(?:app)?\.com/api/webhooks)/)(?P<secret>[^\s'\"<>)]{1,500})",
            re.IGNORECASE,
        ),
        rf"\g<keep>{MASK}",
    ),
    # Tokens that show what they are: of Slack, GitHub, GitLab, Google.
    (
        re.compile(
            r"\b(?P<secret>xox[a-z]-[A-Za-z0-9-]{8,200}|gh[a-z]_[A-Za-z0-9]{20,250}|github_pat_\w{20,250}|"
            r"glpat-[\w-]{16,200}|AIza[\w-]{30,60})"
        ),
        MASK,
    ),
    # AWS access key ids, which lead to their secret in most logs.
    (re.compile(r"\b(?P<secret>(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,124})\b"), MASK),
)


def redact(text: str) -> str:
    """`text` without the secrets it shows. Doing it twice changes nothing."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def secrets_in(text: str) -> set[str]:
    """What `redact` would mask in `text`, to be masked elsewhere too."""
    found = {match["secret"].strip("'\"") for pattern, _ in _RULES for match in pattern.finditer(text)}
    return {secret for secret in found if secret.strip("*")}


def redact_facts(value: object) -> object:
    """A JSON-like value with every text in it redacted; a value under a telling key is masked as a whole."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {str(k): MASK if _telling(str(k)) and v else redact_facts(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact_facts(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(str(value))


def redact_known(value: object) -> object:
    """`value` without what Airflow knows for a secret in this process: passwords of connections, secret params."""
    from airflow.sdk.log import redact as redact_of_airflow  # type: ignore[attr-defined]  # there for its own logs

    return redact_of_airflow(value)


def is_secret(name: str, schema: Mapping[str, object]) -> bool:
    """Whether the value of a param is a secret, by its JSON Schema (`format: password`, `writeOnly`) or its name."""
    return schema.get("format") == "password" or schema.get("writeOnly") is True or _telling(name)


def _telling(key: str) -> bool:
    return bool(re.search(_TELLING, key, re.IGNORECASE))
