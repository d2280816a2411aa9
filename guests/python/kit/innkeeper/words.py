"""The words of the contract, as types. Every number is below 2^53, and none is zero."""

from __future__ import annotations

import enum
from typing import NamedTuple, NewType

PartialKey = NewType("PartialKey", int)
"""Whom a session is with: a keyed fingerprint."""

SessionId = NewType("SessionId", int)
"""Which of their sessions it is: a keyed fingerprint."""

Session = NewType("Session", int)
"""A session in the host's vault."""


class Key(NamedTuple):
    """What a session is filed under."""

    partial: PartialKey
    id: SessionId


class Role(enum.Enum):
    """Which end of a TLS connection a cache serves."""

    CLIENT = 0
    SERVER = 1


class InitArgs(NamedTuple):
    """What a cache is told when it is opened."""

    role: Role
    sessions_max: int
    """How many sessions the vault holds at most."""
    lifetime_ms: int
    """How long the vault keeps a session."""
    properties: list[tuple[str, str]]
    """The operator's settings: names and values, in the order in which they were written."""

    def property(self, name: str) -> str | None:
        """The value of the last setting with a name."""
        return dict(self.properties).get(name)


class InitError(Exception):
    """Refuses a cache. Its text is for the operator, who wrote a setting that makes no sense."""


class SessionInfo(NamedTuple):
    """What may be told of a session without revealing it."""

    stored_bytes: int
    """What it takes in the vault, key included."""
    created_ms: int
    """When it was registered, on the clock of `host.now_ms`."""
    expires_ms: int
    """When the vault will drop it, on the clock of `host.now_ms`."""


class Level(enum.Enum):
    """How much a log line matters."""

    DEBUG = 0
    INFO = 1
    WARN = 2
    ERROR = 3


def number(text: str) -> int | None:
    """Reads a setting as a number of 64 bits. Plainer than `int`, which also takes signs, spaces and other digits."""
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        return None
    value = int(text)
    return value if value < 2**64 else None
