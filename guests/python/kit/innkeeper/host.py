"""The host's functions for guests."""

from __future__ import annotations

from .words import Key, Level, Session, SessionInfo

try:
    from . import component as there
except ModuleNotFoundError:  # without componentize-py there are no bindings: a native test
    from . import testing as there


def describe(session: Session) -> SessionInfo | None:
    """Returns a session's size and times, or none when the vault has no such session."""
    return there.describe(session)


def evict(session: Session) -> None:
    """Asks the vault to forget a session once the running callback returns. Traps outside `update` and `delete`."""
    there.evict(session)


def now_ms() -> int:
    """The time in milliseconds since some moment before the cache was opened. Coarse, and it never goes back."""
    return there.now_ms()


def log(level: Level, message: str) -> None:
    """Writes one line to the tenant's log. Long lines are cut, and too many dropped."""
    there.log(level, message)


def apply(fun: int, key: Key, session: Session, acc: int) -> int:
    """The host's part of `Fold.apply`."""
    return there.apply(fun, key, session, acc)


def log_errors() -> None:
    """The first call of `export`."""
    there.log_errors()


def refusal(text: str) -> Exception:
    """The exception by which `init` passes its error to the host."""
    return there.refusal(text)
