"""The index that most guests need."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from itertools import islice
from typing import Generic, TypeVar

from .words import Key, PartialKey

T = TypeVar("T")


class KeyMap(Generic[T]):
    """Values by key, in the order in which they were put, and findable by partial key. Every call costs O(1), or as
    many steps as the values it gives.

    Made of `OrderedDict`s: a `dict` that has lost its first items walks over their places to find the first.
    """

    def __init__(self) -> None:
        self._all: OrderedDict[Key, T] = OrderedDict()
        self._partials: dict[PartialKey, OrderedDict[Key, T]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def get(self, key: Key) -> T | None:
        """The value under a key."""
        return self._all.get(key)

    def put(self, key: Key, value: T) -> None:
        """Puts a value behind all others. It replaces the one under the same key."""
        self.remove(key)
        self._all[key] = value
        self._partials.setdefault(key.partial, OrderedDict())[key] = value

    def remove(self, key: Key) -> T | None:
        """Removes the value under a key, if any."""
        value = self._all.pop(key, None)
        if value is not None:
            of_partial = self._partials[key.partial]
            del of_partial[key]
            if not of_partial:
                del self._partials[key.partial]
        return value

    def move_to_back(self, key: Key) -> None:
        """Moves a value behind all others, except among those of its partial key: these stay as they were put."""
        self._all.move_to_end(key)

    def items(self) -> Iterable[tuple[Key, T]]:
        """Every key with its value, front to back."""
        return self._all.items()

    def first(self) -> tuple[Key, T] | None:
        """The key and the value in front."""
        return next(iter(self._all.items()), None)

    def first_of(self, partial: PartialKey) -> tuple[Key, T] | None:
        """The key and the value of a partial key that were put before its others."""
        return next(iter(self._partials.get(partial, {}).items()), None)

    def count_of(self, partial: PartialKey) -> int:
        """How many values a partial key has."""
        return len(self._partials.get(partial, {}))

    def newest_of(self, partial: PartialKey, count_max: int) -> list[T]:
        """The values of a partial key, the one put last first, and no more than so many."""
        return list(islice(reversed(self._partials.get(partial, {}).values()), count_max))
