"""The glue between a `SessionCache` and the callbacks that componentize-py looks for."""

from __future__ import annotations

from . import host
from .cache import Fold, SessionCache
from .words import InitArgs, InitError, Key, PartialKey, Role, Session


def export(cache_class: type[SessionCache]) -> type:
    """Makes the class that componentize-py looks for: `Callbacks = export(Mine)`, in the guest's own module."""
    missing = sorted(cache_class.__abstractmethods__)
    if missing:
        raise TypeError(f"{cache_class.__name__} lacks {', '.join(missing)}")

    # Not in the objects: componentize-py makes one for each callback. A cache-ref is a place here.
    caches: list[SessionCache | None] = []

    class Callbacks:
        def init(self, args) -> int:
            host.log_errors()
            properties = [(setting.name, setting.value) for setting in args.properties]
            role = Role(args.role.value)
            try:
                caches.append(cache_class(InitArgs(role, args.max_sessions, args.lifetime_ms, properties)))
            except InitError as error:
                raise host.refusal(str(error))
            return len(caches) - 1

        def terminate(self, cache: int) -> None:
            caches[cache].terminate()
            caches[cache] = None

        def update(self, cache: int, key, session: Session) -> None:
            caches[cache].update(Key(key.partial, key.id), session)

        def delete(self, cache: int, key) -> None:
            caches[cache].delete(Key(key.partial, key.id))

        def select_session(self, cache: int, partial: PartialKey) -> list[Session]:
            return list(caches[cache].select_session(partial))

        def size(self, cache: int) -> int:
            return caches[cache].size()

        def foldl(self, fun: int, acc0: int, cache: int) -> int:
            fold = Fold(fun, acc0)
            caches[cache].foldl(fold)
            return fold.acc

        def lookup(self, cache: int, key) -> Session | None:
            return caches[cache].lookup(Key(key.partial, key.id))

    return Callbacks
