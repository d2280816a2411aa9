"""Every guest against a model of it that is one plain list, in many random steps."""

import importlib.util
import random
import unittest
from pathlib import Path

from innkeeper import InitArgs, Key, Role, SessionInfo, testing

GUESTS = Path(__file__).parent.parent
STEPS = 3_000
TTL_MS, QUOTA, SESSIONS_MAX = 40, 3, 12


class Model:
    """Keys, sessions and registration times, oldest first; `least_used` orders the keys by use."""

    def __init__(self, name):
        self.name, self.held, self.least_used = name, [], []

    def update(self, key, session, now_ms):
        """Registers a session, and gives those that are to be evicted."""
        self.delete(key)
        victims = []
        if self.name == "lru" and len(self.held) >= SESSIONS_MAX:
            victims = [held for held in self.held if held[0] == self.least_used[0]]
        if self.name == "ttl":
            victims = [held for held in self.held if held[2] + TTL_MS <= now_ms][:4]
        if self.name == "quota":
            of_partial = [held for held in self.held if held[0].partial == key.partial]
            victims = of_partial[:1] if len(of_partial) >= QUOTA else []
        for victim in victims:
            self.delete(victim[0])
        self.held.append((key, session, now_ms))
        self.least_used.append(key)
        return [victim[1] for victim in victims]

    def delete(self, key):
        self.held = [held for held in self.held if held[0] != key]
        self.least_used = [own for own in self.least_used if own != key]

    def live(self, now_ms):
        return [held for held in self.held if self.name != "ttl" or now_ms < held[2] + TTL_MS]

    def lookup(self, key, now_ms):
        found = [session for own, session, _ in self.live(now_ms) if own == key]
        if found:
            self.least_used.remove(key)
            self.least_used.append(key)
        return found[0] if found else None


def cache_of(name):
    spec = importlib.util.spec_from_file_location(f"{name}_guest", GUESTS / name / "guest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    properties = [("ttl-ms", str(TTL_MS)), ("quota", str(QUOTA))]
    return getattr(module, name.capitalize())(InitArgs(Role.SERVER, SESSIONS_MAX, 1_000, properties))


class GuestsTest(unittest.TestCase):
    def check(self, name):
        testing.reset()
        chance, now_ms, cache, model = random.Random(4), 0, cache_of(name), Model(name)
        for session in range(1, STEPS):
            key, action = Key(chance.randint(1, 5), chance.randint(1, 6)), chance.random()
            now_ms += chance.randint(0, 5)
            testing.set_now_ms(now_ms)
            if action < 0.5:
                testing.set_info(session, SessionInfo(300, now_ms, now_ms + 1_000))
                cache.update(key, session)
                self.assertEqual(testing.seen().evicted, model.update(key, session, now_ms))
            elif action < 0.7:
                cache.delete(key)
                model.delete(key)
            else:
                self.assertEqual(cache.lookup(key), model.lookup(key, now_ms))
            of_partial = [own for held, own, _ in model.live(now_ms) if held.partial == key.partial]
            self.assertEqual(cache.select_session(key.partial), of_partial[::-1])
            self.assertEqual(cache.size(), len(model.held))
            self.assertEqual(sorted(testing.fold(cache)), sorted((held, own) for held, own, _ in model.held))

    def test_lru(self):
        self.check("lru")

    def test_ttl(self):
        self.check("ttl")

    def test_quota(self):
        self.check("quota")
