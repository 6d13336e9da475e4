"""The `params:` of a file: JSON Schema with a default; `default: null` makes a param nullable."""

from __future__ import annotations

from typing import Any

from sluicegate.pipeline.diagnostics import Where
from sluicegate.pipeline.keys.model import Param
from sluicegate.pipeline.read.validate import invalid_name, mapping, shown
from sluicegate.pipeline.text.source import Report

__all__ = ["read_params"]

_OURS = {"dry_run": "every pipeline has it", "force": "every pipeline has it"}


def read_params(value: object, scheduled: bool, report: Report) -> dict[str, Param]:
    """The params by name. A `scheduled` run fills no form, so each needs a default there."""
    params: dict[str, Param] = {}
    for name, raw in mapping(value, ("params",), report).items():
        where = ("params", name)
        if wrong := invalid_name(name):
            report.error(where, "name", wrong, key=True)
        elif name in _OURS:
            report.error(where, "name", f"`{name}` is taken: {_OURS[name]}", key=True)
        else:
            param = _param(raw, where, report)
            if param is not None:
                params[name] = param
                if scheduled and param.required:
                    message = f"`{name}` needs a `default`: scheduled runs fill no form"
                    report.error(where, "missing-key", message, key=True)
    return params


def _param(raw: object, where: Where, report: Report) -> Param | None:
    if isinstance(raw, list):
        report.error(where, "type", f"expected a default or a JSON Schema, not {shown(raw)}")
        return None
    if not isinstance(raw, dict):
        raw = {"default": raw, **({} if raw is None else {"type": _TYPES[type(raw)]})}
    description = raw.get("description")
    if description is not None and not isinstance(description, str):
        report.error((*where, "description"), "type", f"expected text, not {shown(description)}")
        return None
    schema = {key: item for key, item in raw.items() if key not in ("default", "description")}
    default = raw.get("default")
    if "default" in raw and default is None:
        schema = _nullable(schema)
    if not _fits(schema, raw, where, report):
        return None
    return Param(default=default, required="default" not in raw, description=description, json_schema=schema)


_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema that takes null too. Airflow refuses a scheduled DAG whose default breaks its schema."""
    result = dict(schema)
    kinds = result.get("type")
    if isinstance(kinds, str):
        kinds = [kinds]
    if isinstance(kinds, list) and "null" not in kinds:
        result["type"] = ["null", *kinds]
    options = result.get("enum")
    if isinstance(options, list) and None not in options:
        result["enum"] = [*options, None]
    return result


def _fits(schema: dict[str, Any], raw: dict[str, Any], where: Where, report: Report) -> bool:
    """Whether `schema` is JSON Schema and the default obeys it."""
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # heavy, and most pipelines have no params
    from jsonschema.exceptions import SchemaError, ValidationError  # type: ignore[import-untyped]

    try:
        Draft202012Validator.check_schema(schema)
        if "default" in raw:
            Draft202012Validator(schema).validate(raw["default"])
    except SchemaError as error:
        report.error((*where, *error.path), "value", f"not a JSON Schema: {error.message}")
        return False
    except ValidationError as error:
        report.error((*where, "default"), "value", f"the default does not fit: {error.message}")
        return False
    except Exception as error:  # a `$ref` that leads nowhere has many types
        report.error(where, "value", f"not a JSON Schema: {error}")
        return False
    return True
