import unittest

from innkeeper import InitArgs, InitError, Key, PartialKey, Role, Session, SessionId, SessionInfo, testing

from guest import LOOK_BACK, Ttl


def key(id: int) -> Key:
    return Key(PartialKey(1), SessionId(id))


def ttl(*properties: tuple) -> Ttl:
    return Ttl(InitArgs(Role.SERVER, sessions_max=99, lifetime_ms=1_000, properties=list(properties)))


class TtlTest(unittest.TestCase):
    def setUp(self):
        testing.reset()

    def test_a_session_is_forgotten_after_its_time(self):
        cache = ttl(("ttl-ms", "100"))
        cache.update(key(1), Session(1))
        testing.set_now_ms(99)
        self.assertEqual(cache.lookup(key(1)), 1)
        self.assertEqual(cache.select_session(PartialKey(1)), [1])
        testing.set_now_ms(100)
        self.assertIsNone(cache.lookup(key(1)))
        self.assertEqual(cache.select_session(PartialKey(1)), [])
        cache.update(key(2), Session(2))
        self.assertEqual(testing.seen().evicted, [1])
        self.assertEqual(testing.fold(cache), [(key(2), 2)])

    def test_a_replaced_session_is_not_evicted(self):
        cache = ttl(("ttl-ms", "100"))
        cache.update(key(1), Session(1))
        testing.set_now_ms(120)
        cache.update(key(1), Session(2))
        testing.set_now_ms(130)
        cache.update(key(2), Session(3))
        self.assertEqual(testing.seen().evicted, [])
        self.assertEqual(cache.lookup(key(1)), 2)

    def test_an_update_forgets_a_few_oldest_first(self):
        cache = ttl(("ttl-ms", "100"))
        for id in range(1, 8):
            cache.update(key(id), Session(id))
        testing.set_now_ms(100)
        cache.update(key(9), Session(9))
        self.assertEqual(testing.seen().evicted, list(range(1, LOOK_BACK + 1)))

    def test_a_replayed_session_keeps_its_time(self):
        testing.set_now_ms(600)
        testing.set_info(Session(1), SessionInfo(stored_bytes=300, created_ms=200, expires_ms=1_200))
        cache = ttl()
        cache.update(key(1), Session(1))
        testing.set_now_ms(699)
        self.assertEqual(cache.lookup(key(1)), 1)
        testing.set_now_ms(700)
        self.assertIsNone(cache.lookup(key(1)), "half the lifetime after it was created")

    def test_a_setting_that_is_no_number_is_refused(self):
        for text in "soon", "", "-1", "1_000", " 5", "99999999999999999999":
            with self.assertRaises(InitError) as refusal:
                ttl(("ttl-ms", text))
            self.assertEqual(str(refusal.exception), f"property `ttl-ms` is not a number: {text}")
