from __future__ import annotations

import pytest

from sluicegate.discovery.code_deps import imports


@pytest.mark.parametrize(
    ("path", "code", "found"),
    [
        ("a.py", "import helper", {"helper.py"}),
        ("a.py", "import lib.one as one, two  # three", {"lib/one.py", "two.py"}),
        ("a.py", "from lib import one, two", {"lib.py", "lib/__init__.py", "lib/one.py", "lib/two.py"}),
        ("a.py", "from lib import (\n    one,\n    two,\n)", {"lib.py", "lib/one.py", "lib/two.py"}),
        ("team/a.py", "from . import one", {"team/one.py", "team/__init__.py"}),
        ("team/x/a.py", "from ..lib.one import two", {"team/lib/one.py", "team/lib/one/two.py"}),
        ("a.py", "def f():\n    import late", {"late.py"}),
    ],
)
def test_what_a_module_may_import_is_found(path: str, code: str, found: set[str]) -> None:
    assert imports(path, code.encode()) >= found


def test_comments_and_words_are_no_imports() -> None:
    assert imports("a.py", b"# import this\nimportant = 1\ntext = 'from here'\n") == frozenset()
