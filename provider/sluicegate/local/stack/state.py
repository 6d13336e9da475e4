"""The state folder (`.sluicegate/`): where things are, the generated secrets, what runs now, and the lock.

The lock is the only truth about whether a stack runs: the kernel drops it with its holder. `run.json` only
says where to find it.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets as random
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from sluicegate.local.stack.errors import StackError

DEFAULT_FOLDER = ".sluicegate"


@dataclass(frozen=True)
class State:
    """Paths below the state folder. `root` is absolute."""

    root: Path

    @classmethod
    def at(cls, folder: str | Path | None = None) -> State:
        return cls(Path(folder or DEFAULT_FOLDER).expanduser().resolve())

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def s3(self) -> Path:
        return self.root / "s3"

    @property
    def airflow(self) -> Path:
        return self.root / "airflow"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def passwords(self) -> Path:
        """Airflow's own file of users and passwords (simple auth manager)."""
        return self.airflow / "passwords.json"

    @property
    def migrated(self) -> Path:
        """Exists while the metadata database is ready to be used."""
        return self.airflow / "migrated"

    @property
    def emr(self) -> Path:
        """Where the local EMR keeps its clusters."""
        return self.root / "emr"

    @property
    def aws_ready(self) -> Path:
        return self.root / "aws.ready"

    @property
    def ports(self) -> Path:
        return self.root / "ports.json"

    @property
    def run(self) -> Path:
        return self.root / "run.json"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets.json"

    @property
    def pgpass(self) -> Path:
        """The warehouse's password, as libpq's `passfile` takes it."""
        return self.root / "pgpass"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    def log(self, component: str) -> Path:
        return self.logs / f"{component}.log"

    def create(self) -> None:
        """Make the folders; only their owner may look inside, and git leaves them alone."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.postgres, self.s3, self.airflow, self.logs):
            folder.mkdir(mode=0o700, exist_ok=True)
        ignore = self.root / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")


def _generated() -> str:
    return random.token_urlsafe(24)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(random.token_bytes(32)).decode()


def _access_key() -> str:
    return "SLUICE" + random.token_hex(7).upper()


@dataclass(frozen=True, repr=False)
class Secrets:
    """Everything generated for one state folder. Its `repr` shows none of it."""

    postgres_password: str = field(default_factory=_generated)
    airflow_password: str = field(default_factory=_generated)
    warehouse_password: str = field(default_factory=_generated)
    admin_password: str = field(default_factory=_generated)
    fernet_key: str = field(default_factory=_fernet_key)
    api_secret_key: str = field(default_factory=_generated)
    jwt_secret: str = field(default_factory=_generated)
    aws_access_key: str = field(default_factory=_access_key)
    aws_secret_key: str = field(default_factory=_generated)

    @classmethod
    def load(cls, state: State) -> Secrets:
        """The secrets of the folder.

        Raises `StackError` if there are none.
        """
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in read_json(state.secrets).items() if name in known})

    @classmethod
    def load_or_generate(cls, state: State) -> Secrets:
        if not state.secrets.exists():
            if (state.postgres / "data").exists():
                raise StackError(
                    f"{state.secrets} is gone, but the databases it opens are still in {state.postgres}.",
                    f"Put the file back, or remove {state.root} to start from nothing.",
                )
            write_json(state.secrets, asdict(cls()))
        loaded = cls.load(state)
        write_json(state.secrets, asdict(loaded))  # names that a newer version added
        return loaded


@dataclass(frozen=True)
class Ports:
    airflow: int
    postgres: int
    aws: int


@dataclass(frozen=True)
class ProcessId:
    """A process, never a later one of the same number; `started` is seconds since 1970."""

    pid: int
    started: float


@dataclass(frozen=True)
class Run:
    """What runs on this state: the supervisor, its components, where they listen, what they were given."""

    supervisor: ProcessId
    dags: str
    ports: Ports
    healthy: bool = False
    bundles: list[dict[str, Any]] = field(default_factory=list)
    components: Mapping[str, ProcessId] = field(default_factory=dict)
    chaos: str = ""
    """What goes wrong on purpose at the local EMR."""

    @classmethod
    def load(cls, state: State) -> Run | None:
        """The run that was written last, alive or not; None where there is none or it cannot be read."""
        try:
            raw = read_json(state.run)
            return cls(
                supervisor=ProcessId(**raw["supervisor"]),
                dags=raw["dags"],
                ports=Ports(**raw["ports"]),
                healthy=raw["healthy"],
                bundles=raw["bundles"],
                components={name: ProcessId(**one) for name, one in raw["components"].items()},
                chaos=raw["chaos"],
            )
        except (StackError, KeyError, TypeError):
            return None

    def save(self, state: State) -> None:
        urls = {
            "airflow": airflow_url(self.ports),
            "aws": aws_url(self.ports),
            "warehouse": warehouse_url(self.ports),
        }
        write_json(state.run, asdict(self) | {"urls": urls})

    def with_component(self, name: str, process: ProcessId) -> Run:
        return replace(self, components={**self.components, name: process})


def airflow_url(ports: Ports) -> str:
    return f"http://127.0.0.1:{ports.airflow}"


def aws_url(ports: Ports) -> str:
    return f"http://127.0.0.1:{ports.aws}"


def warehouse_url(ports: Ports) -> str:
    """Without the password."""
    return f"postgresql://warehouse@127.0.0.1:{ports.postgres}/warehouse"


class Lock:
    """Held by a supervisor as long as it lives; its file is never removed."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    @classmethod
    def take(cls, path: Path, patience: float = 0.5) -> Lock | None:
        """The lock, or None if somebody has it for longer than `patience` seconds.

        A moment of patience, because who asks whether it is held (`held`) takes it for an instant.
        """
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        until = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return cls(handle)
            except BlockingIOError:
                if time.monotonic() >= until:
                    os.close(handle)
                    return None
                time.sleep(0.05)

    @staticmethod
    def held(path: Path) -> bool:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def release(self) -> None:
        os.close(self._handle)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file.

    Raises `StackError` if the file is missing or holds none.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StackError(f"{path} cannot be read: {error}", "Is this the right state folder?") from error
    if not isinstance(found, dict):
        raise StackError(f"{path} does not hold a JSON object.", "Is this the right state folder?")
    return found


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replace the file in one step; only its owner can read it."""
    write_private(path, json.dumps(value, indent=2) + "\n")


def write_private(path: Path, text: str) -> None:
    """Replace the file in one step; only its owner can read it."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
