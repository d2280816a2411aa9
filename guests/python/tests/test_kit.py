"""The glue between a cache and the callbacks, with plain objects for what the bindings pass."""

import unittest
from types import SimpleNamespace

from innkeeper import InitError, Key, KeyMap, Role, SessionCache, export, testing


class All(SessionCache):
    def __init__(self, args):
        if args.property("refuse") is not None:
            raise InitError("as told")
        self.args = args
        self.sessions = KeyMap()

    def update(self, key, session):
        self.sessions.put(key, session)

    def delete(self, key):
        self.sessions.remove(key)

    def lookup(self, key):
        return self.sessions.get(key)

    def select_session(self, partial):
        return self.sessions.newest_of(partial, 2)

    def size(self):
        return len(self.sessions)

    def foldl(self, fold):
        for key, session in self.sessions.items():
            fold.apply(key, session)


def args(*properties):
    settings = [SimpleNamespace(name=name, value=value) for name, value in properties]
    role = SimpleNamespace(value=Role.CLIENT.value)
    return SimpleNamespace(role=role, max_sessions=9, lifetime_ms=1_000, properties=settings)


def key(partial, id):
    return SimpleNamespace(partial=partial, id=id)


class ExportTest(unittest.TestCase):
    def setUp(self):
        testing.reset()

    def test_the_callbacks_of_one_cache_may_be_asked_of_many_objects(self):
        callbacks = export(All)
        cache = callbacks().init(args())
        for id in 1, 2, 3:
            callbacks().update(cache, key(7, id), 10 + id)
        callbacks().delete(cache, key(7, 1))
        self.assertEqual(callbacks().lookup(cache, key(7, 2)), 12)
        self.assertEqual(callbacks().select_session(cache, 7), [13, 12])
        self.assertEqual(callbacks().size(cache), 2)
        self.assertEqual(callbacks().foldl(0, 5, cache), 7, "the accumulator goes through each element")

    def test_caches_are_apart(self):
        callbacks = export(All)()
        one, other = callbacks.init(args()), callbacks.init(args())
        callbacks.update(one, key(7, 1), 11)
        self.assertIsNone(callbacks.lookup(other, key(7, 1)))
        callbacks.terminate(one)
        self.assertEqual(callbacks.size(other), 0)

    def test_a_refusal_is_the_text(self):
        with self.assertRaises(InitError) as refusal:
            export(All)().init(args(("refuse", "yes")))
        self.assertEqual(str(refusal.exception), "as told")

    def test_a_cache_that_lacks_a_callback_is_not_exported(self):
        class Half(All):
            lookup = SessionCache.lookup

        with self.assertRaisesRegex(TypeError, "Half lacks lookup"):
            export(Half)


class KeyMapTest(unittest.TestCase):
    def test_values_are_in_order(self):
        values = KeyMap()
        for id in 1, 2, 3:
            values.put(Key(1, id), id)
        values.put(Key(2, 1), 9)
        values.move_to_back(Key(1, 1))
        self.assertEqual([value for _, value in values.items()], [2, 3, 9, 1])
        self.assertEqual((values.first(), values.first_of(1)), ((Key(1, 2), 2), (Key(1, 1), 1)))
        self.assertEqual((values.newest_of(1, 2), values.count_of(1)), ([3, 2], 3))
        self.assertEqual((values.remove(Key(1, 2)), values.remove(Key(1, 2))), (2, None))
        self.assertEqual((values.newest_of(3, 2), values.first_of(3), values.count_of(3)), ([], None, 0))
