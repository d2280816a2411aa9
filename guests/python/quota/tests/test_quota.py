import unittest

from innkeeper import InitArgs, InitError, Key, PartialKey, Role, Session, SessionId, testing

from guest import Quota


def key(partial: int, id: int) -> Key:
    return Key(PartialKey(partial), SessionId(id))


def quota(*properties: tuple) -> Quota:
    return Quota(InitArgs(Role.SERVER, sessions_max=99, lifetime_ms=1_000, properties=list(properties)))


class QuotaTest(unittest.TestCase):
    def setUp(self):
        testing.reset()

    def test_one_more_than_the_quota_and_the_oldest_of_that_partial_key_goes(self):
        cache = quota(("quota", "2"))
        cache.update(key(2, 1), Session(21))
        for id in 1, 2, 3:
            cache.update(key(1, id), Session(10 + id))
        self.assertEqual(testing.seen().evicted, [11])
        self.assertEqual(cache.select_session(PartialKey(1)), [13, 12])
        self.assertEqual(cache.lookup(key(2, 1)), 21)
        self.assertEqual(testing.fold(cache), [(key(2, 1), 21), (key(1, 2), 12), (key(1, 3), 13)])

    def test_a_key_stands_for_its_last_session(self):
        cache = quota(("quota", "2"))
        for session in 11, 12, 13:
            cache.update(key(1, 1), Session(session))
        self.assertEqual((cache.lookup(key(1, 1)), cache.size()), (13, 1))
        self.assertEqual(testing.seen().evicted, [], "the vault has dropped the old sessions by itself")

    def test_a_deleted_session_makes_room(self):
        cache = quota(("quota", "1"))
        cache.update(key(1, 1), Session(11))
        cache.delete(key(1, 1))
        cache.delete(key(1, 1))
        cache.update(key(1, 2), Session(12))
        self.assertEqual(testing.seen().evicted, [])
        self.assertEqual(cache.size(), 1)

    def test_sixteen_are_remembered_if_the_operator_says_nothing(self):
        cache = quota()
        for id in range(1, 18):
            cache.update(key(1, id), Session(id))
        self.assertEqual((testing.seen().evicted, cache.size()), ([1], 16))

    def test_a_setting_that_is_no_number_above_zero_is_refused(self):
        for text in "0", "many", "-1", "":
            with self.assertRaises(InitError) as refusal:
                quota(("quota", text))
            self.assertEqual(str(refusal.exception), f"property `quota` is not a number above zero: {text}")
