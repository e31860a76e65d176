"""The verbs of storage, as the local folder has them."""

import threading

import pytest

from phenoassets.errors import StoreError
from phenoassets.store.objects import LocalObjects


@pytest.fixture
def objects(tmp_path):
    return LocalObjects(tmp_path / "root")


def test_what_is_put_is_got_and_its_tag_changes_with_it(objects):
    assert objects.get("a/b") is None
    first = objects.put("a/b", b"one")
    assert objects.get("a/b").content == b"one"
    assert objects.get("a/b").tag == first != objects.put("a/b", b"two")
    assert objects.range("a/b", 1, 10) == b"wo"


def test_an_object_is_created_only_where_there_is_none(objects):
    assert objects.put_if_absent("a", b"one")
    assert objects.put_if_absent("a", b"two") is None
    assert objects.get("a").content == b"one"


def test_an_object_is_replaced_only_where_nobody_else_did(objects):
    assert objects.put_if_match("a", b"zero", "?") is None
    tag = objects.put("a", b"one")
    assert objects.put_if_match("a", b"two", tag)
    assert objects.put_if_match("a", b"three", tag) is None
    assert objects.get("a").content == b"two"


def test_of_many_that_count_up_by_conditional_puts_none_is_lost(tmp_path):
    LocalObjects(tmp_path).put("n", b"0")

    def count():
        mine = LocalObjects(tmp_path)  # as another process has it
        for _ in range(20):
            while True:
                now = mine.get("n")
                if mine.put_if_match("n", str(int(now.content) + 1).encode(), now.tag):
                    break

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert LocalObjects(tmp_path).get("n").content == b"80"


def test_names_directly_below_are_listed_without_half_written_ones(objects):
    for key in ("a/x", "a/y/z", "b"):
        objects.put(key, b"")
    objects.path("a/.x.tmp").touch()
    assert objects.list("a") == ["x", "y/"]
    assert objects.list("") == ["a/", "b"]
    assert objects.list("c") == []


def test_one_object_or_all_below_a_key_are_deleted_and_nothing_is_no_error(objects):
    for key in ("a/x", "a/y/z", "b/c"):
        objects.put(key, b"")
    objects.delete("a/x")
    assert objects.list("a") == ["y/"]
    objects.delete("a/")
    objects.delete("nothing")
    objects.delete("nothing/")
    assert objects.list("") == ["b/"]


@pytest.mark.parametrize("key", ["../x", "/x", "a/../../x", "a//x", "", "a\\..\\x", "./x"])
def test_no_key_leads_out_of_the_root(objects, key):
    with pytest.raises(StoreError, match="leads out"):
        objects.put(key, b"")
