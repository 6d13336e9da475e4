"""The operating system's and Python's own errors as faults."""

from __future__ import annotations

import errno

from sluicegate.faults.http import untrusted
from sluicegate.faults.shape import Match, starts_with

__all__ = ["is_bug", "match"]

_BY_ERRNO = {
    errno.ENOSPC: "DISK_FULL",
    errno.EDQUOT: "DISK_FULL",
    errno.ENOMEM: "OUT_OF_MEMORY",
    errno.EACCES: "FILE_DENIED",
    errno.EPERM: "FILE_DENIED",
    errno.EROFS: "FILE_DENIED",
    errno.ENOENT: "SOURCE_MISSING",
    errno.EISDIR: "WRONG_USE",
    errno.ENOTDIR: "WRONG_USE",
    errno.ENAMETOOLONG: "WRONG_USE",
    errno.ECONNREFUSED: "NETWORK",
    errno.ECONNRESET: "NETWORK",
    errno.ECONNABORTED: "NETWORK",
    errno.EPIPE: "NETWORK",
    errno.EHOSTUNREACH: "NETWORK",
    errno.EHOSTDOWN: "NETWORK",
    errno.ENETUNREACH: "NETWORK",
    errno.ENETDOWN: "NETWORK",
    errno.EADDRNOTAVAIL: "NETWORK",
    errno.ETIMEDOUT: "NETWORK",
}
_NETWORK = ("socket.gaierror", "socket.herror", "ssl.SSLError")
_BY_EXIT_STATUS = {
    -9: "OUT_OF_MEMORY",  # SIGKILL: of the kernel, nearly always
    137: "OUT_OF_MEMORY",
    126: "CODE_MISSING",  # the shell could not run the command
    127: "CODE_MISSING",
}

_BUGS = frozenset(
    {
        ArithmeticError,
        AssertionError,
        AttributeError,
        BufferError,
        FloatingPointError,
        IndexError,
        KeyError,
        LookupError,
        NameError,
        NotImplementedError,
        OverflowError,
        RecursionError,
        StopIteration,
        TypeError,
        UnboundLocalError,
        UnicodeDecodeError,
        UnicodeEncodeError,
        UnicodeError,
        ValueError,
        ZeroDivisionError,
    }
)


def is_bug(error: BaseException) -> bool:
    """Whether `error` is what Python raises for wrong code, which would do the same once more.

    Python's own classes alone: what a library's subclass means is unknown here, and RuntimeError and
    Exception are raised for anything.
    """
    return type(error) in _BUGS


def match(error: BaseException, names: tuple[str, ...]) -> Match | None:
    if "subprocess.TimeoutExpired" in names:
        return Match("TIMED_OUT")
    if "subprocess.CalledProcessError" in names:
        status = getattr(error, "returncode", 0)
        return Match(code, None, {"exit_status": status}) if (code := _BY_EXIT_STATUS.get(status)) else None
    if starts_with(names, *_NETWORK):
        return Match("CERTIFICATE_REFUSED" if untrusted(error) else "NETWORK")
    if isinstance(error, MemoryError):
        return Match("OUT_OF_MEMORY")
    if isinstance(error, SyntaxError):
        return Match("CODE_BROKEN", _place(error))
    if isinstance(error, ImportError):
        return Match("CODE_MISSING")
    if isinstance(error, OSError):
        return _os_error(error)
    return None


def _os_error(error: OSError) -> Match | None:
    facts: dict[str, object] = {} if error.errno is None else {"errno": errno.errorcode.get(error.errno, error.errno)}
    if code := _BY_ERRNO.get(error.errno or 0):
        return Match(code, None, facts)
    if isinstance(error, TimeoutError):
        return Match("TIMED_OUT")
    if isinstance(error, ConnectionError):
        return Match("NETWORK", None, facts)
    if isinstance(error, FileNotFoundError):
        return Match("SOURCE_MISSING")
    if isinstance(error, PermissionError):
        return Match("FILE_DENIED")
    return None


def _place(error: SyntaxError) -> str:
    return f"{type(error).__name__}: {error.filename}:{error.lineno}: {error.msg}"
