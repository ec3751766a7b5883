"""Networks read from files, in memory while there is room for them."""

import weakref
from collections import OrderedDict
from typing import Protocol

ROOM = 2**30
"""Bytes of weights that stay in memory; beyond that, the least recently used are dropped and read again."""


class _Held(Protocol):
    @property
    def size(self) -> int: ...

    def put_down(self) -> None: ...


class WeightsCache:
    """Keeps count of what is in memory; if it is too much, has the least recently used items put down.

    >>> class Book:
    ...     def __init__(self, title, size): self.title, self.size = title, size
    ...     def put_down(self): print("down:", self.title)
    >>> cache, small, large = WeightsCache(room=10), Book("small", 4), Book("large", 8)
    >>> cache.take(small); cache.take(large)
    down: small
    """

    def __init__(self, room: int = ROOM) -> None:
        self.room = room
        self._held: OrderedDict[int, weakref.ref[_Held]] = OrderedDict()

    def take(self, item: _Held) -> None:
        """Count an item as most recently used, and make room; it counts while anyone else holds it."""
        place = id(item)
        self._held[place] = weakref.ref(item, lambda _: self._held.pop(place, None))
        self._held.move_to_end(place)
        while len(self._held) > 1 and self._size() > self.room:
            _, oldest = self._held.popitem(last=False)
            if (found := oldest()) is not None:
                found.put_down()

    def leave(self, item: _Held) -> None:
        """Stop counting an item."""
        self._held.pop(id(item), None)

    def _size(self) -> int:
        return sum(item.size for held in list(self._held.values()) if (item := held()) is not None)
