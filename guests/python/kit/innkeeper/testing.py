"""A double of the host for a guest's own native tests, without a vault. One for all; `reset` it before each test."""

from __future__ import annotations

from typing import NamedTuple

from .words import InitError, Key, Level, Session, SessionInfo

refusal = InitError


class Seen(NamedTuple):
    """What the double has been asked."""

    evicted: list[Session]
    """Sessions evicted, in order."""
    log: list[tuple[Level, str]]
    """Log lines."""


_now_ms = 0
_info: dict[Session, SessionInfo] = {}
_folded: list[tuple[Key, Session]] = []
_seen = Seen([], [])


def reset() -> None:
    """Makes the double as good as new."""
    set_now_ms(0)
    _info.clear()
    seen()


def set_now_ms(now_ms: int) -> None:
    """Sets the time that `host.now_ms` gives."""
    global _now_ms
    _now_ms = now_ms


def set_info(session: Session, info: SessionInfo) -> None:
    """Makes `host.describe` know a session."""
    _info[session] = info


def seen() -> Seen:
    """Gives what has been asked since the last call."""
    global _seen
    last, _seen = _seen, Seen([], [])
    return last


def fold(cache) -> list[tuple[Key, Session]]:
    """Everything that a `SessionCache` shows in a fold, in its order."""
    from .cache import Fold

    _folded.clear()
    cache.foldl(Fold(0, 0))
    return list(_folded)


def describe(session: Session) -> SessionInfo | None:
    return _info.get(session)


def evict(session: Session) -> None:
    _seen.evicted.append(session)


def now_ms() -> int:
    return _now_ms


def log(level: Level, message: str) -> None:
    _seen.log.append((level, message))


def apply(_fun: int, key: Key, session: Session, acc: int) -> int:
    _folded.append((key, session))
    return acc + 1


def log_errors() -> None:
    """Nothing: natively an exception shows itself."""
