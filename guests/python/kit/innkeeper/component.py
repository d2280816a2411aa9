"""The host as a component sees it: over the bindings that componentize-py makes. Only in components."""

from __future__ import annotations

import sys

from componentize_py_types import Err
from wit_world.imports import host, types

from .words import Key, Level, Session, SessionInfo

evict = host.evict
now_ms = host.now_ms
refusal = Err


def describe(session: Session) -> SessionInfo | None:
    info = host.describe(session)
    return None if info is None else SessionInfo(info.stored_bytes, info.created_ms, info.expires_ms)


def log(level: Level, message: str) -> None:
    host.log(host.Level(level.value), message)


def apply(fun: int, key: Key, session: Session, acc: int) -> int:
    return host.apply(fun, types.Element(types.Key(key.partial, key.id), session), acc)


def log_errors() -> None:
    """Makes a log line of each exception that no callback catches, since the trap has no message."""
    sys.excepthook = _log_error


def _log_error(kind, error, trace) -> None:
    while trace.tb_next is not None:
        trace = trace.tb_next
    file = trace.tb_frame.f_code.co_filename.rpartition("/")[2]
    log(Level.ERROR, f"{file}:{trace.tb_lineno}: {kind.__name__}: {error}")
