"""Steps that call a function of the pipeline's author: pure, over Arrow data, or with side effects."""

from __future__ import annotations

from sluicegate.transform.operator import TransformOperator
from sluicegate.transform.python import PythonStepOperator

__all__ = ["PythonStepOperator", "TransformOperator"]
