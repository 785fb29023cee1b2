"""Cursors and retries: committed together, and there after a restart."""

from pathlib import Path

import msgspec

from router.store import Retry, Store


def retry(offset: int) -> Retry:
    return Retry(offset, "web", 0, 0, b"{}", 1, 0, 1, 1, "503")


async def test_cursors_and_retries_survive(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.cursor("a") is None
    store.set_cursor("a", 7)
    store.add_retry("a", 100, retry(5))
    store.add_retry("b", 50, retry(6))
    await store.close()
    again = Store(tmp_path)
    assert again.cursors() == {"a": 7}
    assert again.retry_count("a") == 1
    [(_, found)] = again.due("a", 100, 10, set())
    assert found == retry(5)
    await again.close()


async def test_retries_come_in_the_order_they_are_due(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for offset, due in ((1, 300), (2, 100), (3, 200)):
        store.add_retry("a", due, retry(offset))
    store.add_retry("ab", 1, retry(9))
    await store.flush()
    assert [r.offset for _, r in store.due("a", 250, 10, set())] == [2, 3]
    assert [r.offset for _, r in store.due("a", 1000, 2, set())] == [2, 3]
    assert store.next_due("a", set()) == 100
    key = store.due("a", 100, 1, set())[0][0]
    assert store.next_due("a", {key}) == 200
    assert store.next_due("none", set()) is None
    await store.close()


async def test_a_removed_retry_is_not_handed_out_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add_retry("a", 1, retry(1))
    await store.flush()
    key = store.due("a", 1, 1, set())[0][0]
    store.remove("a", key)
    assert store.due("a", 1, 1, set()) == [], "before its removal is committed"
    assert store.retry_count("a") == 0
    await store.flush()
    assert store.due("a", 1, 1, set()) == []
    await store.close()


async def test_a_forgotten_destination_is_new_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.set_cursor("a", 7)
    store.forget("a")
    await store.close()
    again = Store(tmp_path)
    assert again.cursor("a") is None
    await again.close()


async def test_the_oldest_that_waits_is_known_across_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for since in (9_000, 5_000, 7_000):
        store.add_retry("a", 1, msgspec.structs.replace(retry(since), time_ms=since))
    store.hold("a", msgspec.structs.replace(retry(3), user=b"12345678", since_ms=4_000))
    assert store.oldest_waiting("a") == 4_000
    await store.close()
    again = Store(tmp_path)
    assert (again.retry_count("a"), again.held_count("a")) == (3, 1)
    assert again.oldest_waiting("a") == 4_000
    again.remove("a", again.held("a", b"12345678", 1, set())[0][0])
    assert again.oldest_waiting("a") == 5_000
    assert again.oldest_waiting("b") is None
    await again.close()


async def test_held_rows_come_by_user_in_the_logs_order(tmp_path: Path) -> None:
    store = Store(tmp_path)
    one, two = b"\0" * 8, b"\0" * 7 + b"h"
    for offset, user in ((7, one), (3, one), (5, two), (4, one)):
        store.hold("a", msgspec.structs.replace(retry(offset), user=user))
    store.add_retry("a", 1, msgspec.structs.replace(retry(1), user=two))
    await store.flush()
    assert [r.offset for _, r in store.held("a", one, 2, set())] == [3, 4]
    assert store.users("a") == {one: (0, 3), two: (1, 1)}
    assert [(due, r.offset) for due, r in store.find("a", 5)] == [(0, 5)]
    assert [(due, r.offset) for due, r in store.find("a", 1)] == [(1, 1)]
    assert store.release_held("a", 50) == 4
    await store.flush()
    assert store.users("a") == {two: (1, 0)}, "released rows keep no order"
    assert (store.retry_count("a"), store.held_count("a")) == (5, 0)
    await store.close()


async def test_a_job_is_saved_with_what_it_staged(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add_retry("a", 1, retry(1))
    store.set_job("replay/1", b"at 2")
    await store.close()
    again = Store(tmp_path)
    assert again.job("replay/1") == b"at 2"
    assert again.jobs() == {"replay/1": b"at 2"}
    again.set_job("replay/1", None)
    await again.flush()
    assert again.job("replay/1") is None
    await again.close()
