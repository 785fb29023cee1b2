"""Cursors and retries: committed together, and there after a restart."""

from pathlib import Path

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
    store.remove_retry("a", key)
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
