"""The class that a guest derives from."""

from __future__ import annotations

import abc
from collections.abc import Iterable

from . import host
from .words import InitArgs, Key, PartialKey, Session

SELECTED_MAX = 256
"""The most sessions that `select_session` should return: more than the host asks for, and within a call's fuel."""


class Fold:
    """One fold over the sessions of a cache."""

    def __init__(self, fun: int, acc: int):
        self._fun = fun
        self.acc = acc

    def apply(self, key: Key, session: Session) -> None:
        """Shows one session to the fold's function."""
        self.acc = host.apply(self._fun, key, session, self.acc)


class SessionCache(abc.ABC):
    """The logic of a session cache. One object is one cache; the host may have several instances of the same cache."""

    @abc.abstractmethod
    def __init__(self, args: InitArgs):
        """Opens a cache. Raises `InitError` to refuse."""

    def terminate(self) -> None:
        """Closes the cache. It is dropped afterwards."""

    @abc.abstractmethod
    def update(self, key: Key, session: Session) -> None:
        """Registers a session. It replaces the one under the same key, which is dead."""

    @abc.abstractmethod
    def delete(self, key: Key) -> None:
        """Forgets the session under a key, if it is known."""

    @abc.abstractmethod
    def lookup(self, key: Key) -> Session | None:
        """Finds the session under a key. The host asks only for keys that its vault holds; none: do not resume."""

    @abc.abstractmethod
    def select_session(self, partial: PartialKey) -> Iterable[Session]:
        """Returns the sessions of a partial key, best first. No more than `SELECTED_MAX`."""

    @abc.abstractmethod
    def size(self) -> int:
        """Counts the sessions."""

    @abc.abstractmethod
    def foldl(self, fold: Fold) -> None:
        """Shows each session to the fold once."""
