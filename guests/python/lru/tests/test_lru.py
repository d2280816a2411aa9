import unittest

from innkeeper import InitArgs, Key, PartialKey, Role, Session, SessionId, testing

from guest import Lru


def key(partial: int, id: int) -> Key:
    return Key(PartialKey(partial), SessionId(id))


def lru(sessions_max: int) -> Lru:
    return Lru(InitArgs(Role.SERVER, sessions_max, lifetime_ms=1_000, properties=[]))


class LruTest(unittest.TestCase):
    def setUp(self):
        testing.reset()

    def test_the_least_recently_used_session_goes(self):
        cache = lru(2)
        cache.update(key(1, 1), Session(11))
        cache.update(key(1, 2), Session(12))
        self.assertEqual(cache.lookup(key(1, 1)), 11)
        cache.update(key(1, 3), Session(13))
        self.assertEqual(testing.seen().evicted, [12])
        self.assertIsNone(cache.lookup(key(1, 2)))
        self.assertEqual(testing.fold(cache), [(key(1, 1), 11), (key(1, 3), 13)])

    def test_a_key_stands_for_its_last_session(self):
        cache = lru(2)
        cache.update(key(1, 1), Session(11))
        cache.update(key(1, 1), Session(12))
        self.assertEqual((cache.lookup(key(1, 1)), cache.size()), (12, 1))
        self.assertEqual(testing.seen().evicted, [], "the vault has dropped the old session by itself")

    def test_a_replaced_session_makes_no_other_go(self):
        cache = lru(2)
        for id in 1, 2, 1, 2:
            cache.update(key(1, id), Session(10 + id))
        self.assertEqual(testing.seen().evicted, [])

    def test_an_absent_key_is_no_error(self):
        cache = lru(2)
        cache.delete(key(1, 1))
        self.assertEqual((cache.lookup(key(1, 1)), cache.size()), (None, 0))

    def test_select_gives_the_sessions_of_one_partial_key_newest_first(self):
        cache = lru(9)
        cache.update(key(2, 7), Session(27))
        cache.update(key(1, 9), Session(19))
        cache.update(key(1, 3), Session(13))
        cache.lookup(key(1, 9))
        self.assertEqual(cache.select_session(PartialKey(1)), [13, 19])
        self.assertEqual(cache.select_session(PartialKey(3)), [])
