"""Where the bearer token of a call comes from. Each kind is asked again when Airflow no longer accepts its token."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sluicegate.api.errors import NotSignedIn

__all__ = ["Bearer", "Credential", "Login", "SignIn", "TokenFile", "TokenVariable"]

SignIn = Callable[[str, str], str]
"""Exchanges a user name and a password for a token at `POST /auth/token`."""


class Credential(Protocol):
    def token(self, sign_in: SignIn) -> str:
        """The present token.

        :raises NotSignedIn: when there is none
        """
        ...


@dataclass(frozen=True)
class Bearer:
    """A token that the caller holds, for example that of a managed Airflow."""

    value: str = field(repr=False)

    def token(self, sign_in: SignIn) -> str:
        return self.value


@dataclass(frozen=True)
class TokenVariable:
    """A token in an environment variable."""

    name: str

    def token(self, sign_in: SignIn) -> str:
        value = os.environ.get(self.name, "").strip()
        if not value:
            raise NotSignedIn(f"The environment variable {self.name} is not set.", "Set it to a token of the API.")
        return value


@dataclass(frozen=True)
class TokenFile:
    """A token in a file that something else keeps fresh; it is read again when the token has expired."""

    path: Path

    def token(self, sign_in: SignIn) -> str:
        try:
            value = self.path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise NotSignedIn(
                f"Cannot read the token file {self.path}: {error}.", "Name a file you can read."
            ) from error
        if not value:
            raise NotSignedIn(f"The token file {self.path} is empty.", "Write a token of Airflow's API into it.")
        return value


@dataclass(frozen=True)
class Login:
    """A user and a password; both the simple and the FAB auth manager exchange them at `POST /auth/token`."""

    user: str
    password: str = field(repr=False)

    def token(self, sign_in: SignIn) -> str:
        return sign_in(self.user, self.password)
