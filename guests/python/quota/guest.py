"""A guest that remembers a few sessions of each partial key: the last `quota` registered, or 16."""

from __future__ import annotations

from innkeeper import (
    SELECTED_MAX, Fold, InitArgs, InitError, Key, KeyMap, PartialKey, Session, SessionCache, export, host, number,
)


class Quota(SessionCache):
    """The sessions. How many there are in all is left to the host, which calls `delete` for those it takes out."""

    def __init__(self, args: InitArgs):
        text = args.property("quota")
        quota = 16 if text is None else number(text)
        if not quota:
            raise InitError(f"property `quota` is not a number above zero: {text}")
        self.quota = quota
        self.sessions: KeyMap[Session] = KeyMap()

    def update(self, key: Key, session: Session) -> None:
        self.sessions.remove(key)
        oldest = self.sessions.first_of(key.partial)
        if oldest and self.sessions.count_of(key.partial) >= self.quota:
            victim_key, victim = oldest
            self.sessions.remove(victim_key)
            host.evict(victim)
        self.sessions.put(key, session)

    def delete(self, key: Key) -> None:
        self.sessions.remove(key)

    def lookup(self, key: Key) -> Session | None:
        return self.sessions.get(key)

    def select_session(self, partial: PartialKey) -> list[Session]:
        return self.sessions.newest_of(partial, SELECTED_MAX)

    def size(self) -> int:
        return len(self.sessions)

    def foldl(self, fold: Fold) -> None:
        for key, session in self.sessions.items():
            fold.apply(key, session)


Callbacks = export(Quota)
