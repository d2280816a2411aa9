"""Write an Innkeeper guest in Python: derive a class from `SessionCache`, and export it.

    from innkeeper import InitArgs, Key, KeyMap, SELECTED_MAX, Session, SessionCache, export

    class All(SessionCache):
        '''Remembers everything that the vault holds.'''

        def __init__(self, args: InitArgs):
            self.sessions = KeyMap()

        def update(self, key, session):
            self.sessions.put(key, session)

        def delete(self, key):
            self.sessions.remove(key)

        def lookup(self, key):
            return self.sessions.get(key)

        def select_session(self, partial):
            return self.sessions.newest_of(partial, SELECTED_MAX)

        def size(self):
            return len(self.sessions)

        def foldl(self, fold):
            for key, session in self.sessions.items():
                fold.apply(key, session)

    Callbacks = export(All)

A guest decides and the host keeps: the numbers stand for sessions in the host's vault, and whatever a guest answers is
checked there. An exception in a guest is a trap: the host drops the instance and builds a new one.

Natively, as in a guest's own unit tests, the functions of `host` talk to the double in `testing`.
"""

from . import host
from .cache import SELECTED_MAX, Fold, SessionCache
from .export import export
from .keymap import KeyMap
from .words import InitArgs, InitError, Key, Level, PartialKey, Role, Session, SessionId, SessionInfo, number

__all__ = [
    "Fold", "InitArgs", "InitError", "Key", "KeyMap", "Level", "PartialKey", "Role", "SELECTED_MAX", "Session",
    "SessionCache", "SessionId", "SessionInfo", "export", "host", "number",
]
