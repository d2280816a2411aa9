"""A guest that forgets a session some time before the host would: after `ttl-ms`, or half the vault's lifetime."""

from __future__ import annotations

from innkeeper import (
    SELECTED_MAX, Fold, InitArgs, InitError, Key, KeyMap, PartialKey, Session, SessionCache, export, host, number,
)

# How many old sessions one `update` forgets: more than one, so that it catches up.
LOOK_BACK = 4


class Ttl(SessionCache):
    """The sessions with the time at which each is forgotten, in the order of their registration."""

    def __init__(self, args: InitArgs):
        text = args.property("ttl-ms")
        ttl_ms = args.lifetime_ms // 2 if text is None else number(text)
        if ttl_ms is None:
            raise InitError(f"property `ttl-ms` is not a number: {text}")
        self.ttl_ms = ttl_ms
        self.sessions: KeyMap[tuple[Session, int]] = KeyMap()

    def update(self, key: Key, session: Session) -> None:
        now_ms = host.now_ms()
        self.sessions.remove(key)
        self.forget_old(now_ms)
        # A rebuilt instance sees old sessions again: their time runs from their creation.
        info = host.describe(session)
        created_ms = now_ms if info is None else info.created_ms
        self.sessions.put(key, (session, created_ms + self.ttl_ms))

    def forget_old(self, now_ms: int) -> None:
        for _ in range(LOOK_BACK):
            oldest = self.sessions.first()
            if oldest is None:
                return
            key, (session, until_ms) = oldest
            if now_ms < until_ms:
                return
            self.sessions.remove(key)
            host.evict(session)

    def delete(self, key: Key) -> None:
        self.sessions.remove(key)

    def lookup(self, key: Key) -> Session | None:
        session, until_ms = self.sessions.get(key) or (None, 0)
        return session if host.now_ms() < until_ms else None

    def select_session(self, partial: PartialKey) -> list[Session]:
        now_ms = host.now_ms()
        newest = self.sessions.newest_of(partial, SELECTED_MAX)
        return [session for session, until_ms in newest if now_ms < until_ms]

    def size(self) -> int:
        return len(self.sessions)

    def foldl(self, fold: Fold) -> None:
        for key, (session, _) in self.sessions.items():
            fold.apply(key, session)


Callbacks = export(Ttl)
