"""The cache of answers: how long one holds, who makes it, who is answered meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from core.news import EVERYTHING, ChangeIndex, Concern, Hearer, NewsItem
from integration_site.front.response_cache import OVERHEAD_BYTES, Made, ResponseCache


class World:
    """The state that is read, its changes, and a clock that is set."""

    def __init__(self) -> None:
        self._hearers: list[Hearer] = []
        self.index = ChangeIndex(self, "things")
        self.concern = EVERYTHING
        self.now = 50.0
        self.state = "a"
        self.made = 0
        self.for_all = True
        self.gate = asyncio.Event()
        self.gate.set()

    def hear(self, topic: str, hearer: Hearer) -> None:
        self._hearers.append(hearer)

    def change(self, state: str, subject: str = "", *fields: str, by_others: bool = False) -> None:
        self.state = state
        for hearer in self._hearers:
            hearer(NewsItem(subject, frozenset(fields), is_own=not by_others))

    async def make(self) -> Made[str]:
        self.made += 1
        state = self.state
        await self.gate.wait()
        return Made(state, len(state), self.concern, self.for_all)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def cache(world: World) -> ResponseCache[str]:
    return ResponseCache(world.index, clock=lambda: world.now)


async def ask(cache: ResponseCache[str], world: World, key: str = "k") -> str:
    value = await cache.get(key, world.make)
    assert value is not None
    return value


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_an_answer_holds_for_a_second_at_most(
    cache: ResponseCache[str], world: World
) -> None:
    assert await ask(cache, world) == "a"
    world.state = "b"  # of which nobody tells, as of a heartbeat
    world.now += 0.4
    assert await ask(cache, world) == "a"
    assert world.made == 1
    world.now += 0.7
    assert await ask(cache, world) == "b"


async def test_an_answer_holds_until_something_changes(
    cache: ResponseCache[str], world: World
) -> None:
    assert await ask(cache, world) == "a"
    world.change("b")
    assert await ask(cache, world) == "b"


async def test_an_answer_of_some_subjects_outlives_changes_of_others(
    cache: ResponseCache[str], world: World
) -> None:
    world.concern = Concern(frozenset({"one", "two"}))
    assert await ask(cache, world) == "a"
    world.change("b", "three")
    assert await ask(cache, world) == "a"
    world.change("c", "two")
    assert await ask(cache, world) == "c"
    world.change("d")  # of whom it is not said
    assert await ask(cache, world) == "d"


async def test_an_answer_changes_with_the_fields_that_select_it(
    cache: ResponseCache[str], world: World
) -> None:
    world.concern = Concern(frozenset({"one"}), frozenset({"name", "tags"}))
    assert await ask(cache, world) == "a"
    world.change("b", "two", "description")
    assert await ask(cache, world) == "a"
    world.change("c", "two", "description", "tags")
    assert await ask(cache, world) == "c"
    world.change("d", "two")  # anything of it
    assert await ask(cache, world) == "d"
    world.change("e", "one", "description")
    assert await ask(cache, world) == "e"


async def test_one_that_others_changed_is_given_while_it_is_made_anew(
    cache: ResponseCache[str], world: World
) -> None:
    await ask(cache, world)
    world.now += 0.1
    world.gate.clear()
    world.change("b", by_others=True)
    assert [await ask(cache, world) for _ in range(3)] == ["a"] * 3
    await settled()
    world.gate.set()
    await settled()
    assert (await ask(cache, world), world.made) == ("b", 2)
    world.change("c", by_others=True)
    world.change("d")  # by this process
    assert (await ask(cache, world), world.made) == ("d", 3)


async def test_what_others_change_again_and_again_is_made_seldom(
    cache: ResponseCache[str], world: World
) -> None:
    for _ in range(10):
        assert await ask(cache, world) == "a"
        world.change("a", by_others=True)
        world.now += 0.01
        await settled()
    assert world.made < 6


async def test_subjects_are_forgotten_beyond_a_number(
    cache: ResponseCache[str], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ChangeIndex, "MOST_SUBJECTS", 3)
    world.concern = Concern(frozenset({"one"}))
    assert await ask(cache, world) == "a"
    for number in range(3):
        world.change("b", f"other{number}")
    assert await ask(cache, world) == "a"
    world.change("b", "yet another")
    assert await ask(cache, world) == "b"


async def test_one_is_made_ahead_while_the_old_one_is_given(
    cache: ResponseCache[str], world: World
) -> None:
    await ask(cache, world)
    world.now += 0.6
    world.state = "b"
    world.gate.clear()
    assert [await ask(cache, world) for _ in range(3)] == ["a"] * 3
    assert world.made == 1
    await settled()
    assert world.made == 2
    world.gate.set()
    await settled()
    assert (await ask(cache, world), world.made) == ("b", 2)


async def test_all_who_wait_share_one(cache: ResponseCache[str], world: World) -> None:
    world.gate.clear()
    waiting = [asyncio.create_task(ask(cache, world)) for _ in range(20)]
    await settled()
    world.gate.set()
    assert await asyncio.gather(*waiting) == ["a"] * 20
    assert world.made == 1


async def test_who_knows_of_a_change_is_not_answered_from_before(
    cache: ResponseCache[str], world: World
) -> None:
    world.gate.clear()
    before = asyncio.create_task(ask(cache, world))
    await settled()
    world.change("b")
    after = [asyncio.create_task(ask(cache, world)) for _ in range(5)]
    await settled()
    assert world.made == 1  # one at a time
    world.gate.set()
    assert await asyncio.gather(before, *after) == ["a", *["b"] * 5]
    assert world.made == 2


async def test_a_caller_that_leaves_takes_nothing_from_the_others(
    cache: ResponseCache[str], world: World
) -> None:
    world.gate.clear()
    leaving, staying = [asyncio.create_task(ask(cache, world)) for _ in range(2)]
    await settled()
    leaving.cancel()
    await settled()
    world.gate.set()
    assert await staying == "a"


async def test_what_is_not_for_all_is_for_who_had_it_made(
    cache: ResponseCache[str], world: World
) -> None:
    world.for_all = False
    world.gate.clear()
    waiting = [asyncio.create_task(cache.get("k", world.make)) for _ in range(3)]
    await settled()
    world.gate.set()
    assert await asyncio.gather(*waiting) == ["a", None, None]
    world.for_all = True
    world.state = "b"
    assert await ask(cache, world) == "b"


async def test_a_value_is_as_old_as_its_oldest_part(
    cache: ResponseCache[str], world: World
) -> None:
    async def make_partly() -> Made[str]:
        return Made("a", 1, read_at=world.now - 0.9)

    assert await cache.get("k", make_partly) == "a"
    world.state = "b"
    world.now += 0.2
    assert await ask(cache, world) == "b"


async def test_an_exception_ends_nothing_but_this_one(
    cache: ResponseCache[str], world: World
) -> None:
    async def fail() -> Made[str]:
        raise OSError

    with pytest.raises(OSError):
        await cache.get("k", fail)
    assert await ask(cache, world) == "a"


async def test_bytes_are_bounded_and_the_one_used_longest_ago_goes(world: World) -> None:
    cache: ResponseCache[str] = ResponseCache(
        world.index, most_bytes=2 * OVERHEAD_BYTES + 10, clock=lambda: world.now
    )
    for key in ("a", "b", "a", "c", "a"):
        await ask(cache, world, key)
    assert world.made == 3
    await ask(cache, world, "b")
    assert world.made == 4


async def test_what_is_larger_than_all_is_not_kept(world: World) -> None:
    cache: ResponseCache[str] = ResponseCache(world.index, most_bytes=100, clock=lambda: world.now)
    assert [await ask(cache, world) for _ in range(2)] == ["a", "a"]
    assert world.made == 2
