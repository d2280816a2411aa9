"""A guest that forgets the least recently used session once the vault is full."""

from __future__ import annotations

from innkeeper import SELECTED_MAX, Fold, InitArgs, Key, KeyMap, PartialKey, Session, SessionCache, export, host


class Lru(SessionCache):
    """The sessions, the least recently used in front."""

    def __init__(self, args: InitArgs):
        self.sessions_max = args.sessions_max
        self.sessions: KeyMap[Session] = KeyMap()

    def update(self, key: Key, session: Session) -> None:
        self.sessions.remove(key)
        oldest = self.sessions.first()
        if oldest and len(self.sessions) >= self.sessions_max:
            victim_key, victim = oldest
            self.sessions.remove(victim_key)
            host.evict(victim)
        self.sessions.put(key, session)

    def delete(self, key: Key) -> None:
        self.sessions.remove(key)

    def lookup(self, key: Key) -> Session | None:
        session = self.sessions.get(key)
        if session is not None:
            self.sessions.move_to_back(key)
        return session

    def select_session(self, partial: PartialKey) -> list[Session]:
        return self.sessions.newest_of(partial, SELECTED_MAX)

    def size(self) -> int:
        return len(self.sessions)

    def foldl(self, fold: Fold) -> None:
        for key, session in self.sessions.items():
            fold.apply(key, session)


Callbacks = export(Lru)
