"""The bounded cache."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from core.cache import BoundedCache


def test_a_value_beyond_the_bound_drops_the_oldest_alone():
    cache: BoundedCache[str, int] = BoundedCache(2)
    cache["a"], cache["b"], cache["c"] = 1, 2, 3

    assert dict(cache) == {"b": 2, "c": 3}


def test_a_value_stored_anew_is_the_youngest():
    cache: BoundedCache[str, int] = BoundedCache(2)
    cache["a"], cache["b"] = 1, 2
    cache["a"] = 3
    cache["c"] = 4

    assert dict(cache) == {"a": 3, "c": 4}


def test_setdefault_keeps_the_bound_and_the_first_value():
    cache: BoundedCache[str, int] = BoundedCache(1)
    cache["a"] = 1

    assert cache.setdefault("a", 2) == 1
    assert cache.setdefault("b", 3) == 3
    assert list(cache) == ["b"]


def test_threads_share_it():
    cache: BoundedCache[object, int] = BoundedCache(50)

    def work(_: int) -> None:
        for number in range(500):
            key = uuid4()
            cache[key] = number
            assert cache.get(key, number) == number

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(cache) == 50
