"""When a plate has settled and which runs it needs: the pure plan, by hand and against a naive double."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoassets.errors import ExportError
from phenoassets.planning.exports import (
    Observation,
    PlateWatch,
    WatchSettings,
    WatchState,
    exclude,
    open_run_keys,
    plan,
    request_reimport,
)

MINUTE = 60.0
RULES = WatchSettings(settle_minutes=20, retry_minutes=5, max_attempts=3)


def seen(fingerprint, at, plate="P1", n_files=10, lasted=0.0):
    return Observation(plate, fingerprint, n_files, 1, at, at + lasted)


class Watch:
    """Looks one after another; keeps the state as JSON in between, as a cursor does."""

    def __init__(self, rules=RULES):
        self.rules, self.cursor, self.now, self.outcomes = rules, "", 0.0, {}

    def look(self, minutes, *fingerprints, **plates):
        self.now = minutes * MINUTE
        observed = [seen(f, self.now) for f in fingerprints] + [seen(f, self.now, p) for p, f in plates.items()]
        result = plan(observed, WatchState.from_json(self.cursor), self.now, self.rules, self.outcomes)
        self.cursor = result.state.to_json()
        return [request.run_key for request in result.requests]

    @property
    def plate(self):
        return WatchState.from_json(self.cursor).plates["P1"]


def test_a_plate_is_asked_for_once_it_was_the_same_for_settle_minutes():
    watch = Watch()
    assert watch.look(0, "a") == []
    assert watch.look(19.9, "a") == []
    assert watch.look(20, "a") == ["P1:a:1"]
    assert watch.look(40, "a") == []
    assert watch.look(10_000, "a") == []


def test_one_observation_is_never_enough_however_late():
    watch = Watch()
    assert watch.look(1_000_000, "a") == []
    instant = Watch(WatchSettings(settle_minutes=0))
    assert instant.look(0, "a") == []
    assert instant.look(0, "a") == ["P1:a:1"]


def test_a_slow_copy_with_short_gaps_gives_one_request():
    watch = Watch()
    for minute in range(0, 300, 15):
        assert watch.look(minute, f"files{minute}") == []
    assert watch.look(304, "files285") == []
    assert watch.look(305, "files285") == ["P1:files285:1"]


def test_a_long_pause_in_a_copy_gives_two_requests():
    watch = Watch()
    watch.look(0, "half")
    assert watch.look(25, "half") == ["P1:half:1"]
    assert watch.look(30, "whole") == []
    assert watch.look(50, "whole") == ["P1:whole:1"]


def test_a_change_and_back_between_two_looks_starts_the_wait_again():
    watch = Watch()
    watch.look(0, "a")
    watch.look(10, "b")
    assert watch.look(20, "a") == []
    assert watch.look(39, "a") == []
    assert watch.look(40, "a") == ["P1:a:1"]


def test_a_fingerprint_that_returns_gets_a_new_number():
    watch = Watch()
    for minute, fingerprint in ((0, "a"), (20, "a"), (30, "b"), (50, "b"), (60, "a")):
        watch.look(minute, fingerprint)
    assert watch.look(80, "a") == ["P1:a:2"]
    watch.look(90, "b")
    assert watch.look(110, "b") == ["P1:b:2"]


def test_a_failed_run_is_asked_for_again_with_doubled_waits_and_then_given_up():
    watch = Watch()
    watch.look(0, "a")
    assert watch.look(20, "a") == ["P1:a:1"]
    watch.outcomes = {"P1:a:1": "failed"}
    assert watch.look(30, "a") == []
    assert watch.look(34.9, "a") == []
    assert watch.look(35, "a") == ["P1:a:2"]
    watch.outcomes = {"P1:a:1": "failed", "P1:a:2": "running"}
    assert watch.look(90, "a") == []
    watch.outcomes["P1:a:2"] = "failed"
    assert watch.look(100, "a") == []
    assert watch.look(109, "a") == []
    assert watch.look(110, "a") == ["P1:a:3"]
    watch.outcomes["P1:a:3"] = "failed"
    assert watch.look(120, "a") == []
    assert watch.look(100_000, "a") == []
    assert (watch.plate.status, watch.plate.attempts) == ("given_up", 3)


def test_new_scans_of_a_plate_that_was_given_up_are_asked_for_with_fresh_attempts():
    watch = Watch(WatchSettings(settle_minutes=20, max_attempts=1))
    watch.look(0, "a")
    watch.look(20, "a")
    watch.outcomes = {"P1:a:1": "failed"}
    watch.look(21, "a")
    assert watch.plate.status == "given_up"
    watch.look(30, "b")
    assert watch.look(50, "b") == ["P1:b:1"]
    assert watch.plate.attempts == 0


def test_a_retry_waits_until_a_plate_that_changed_has_settled():
    watch = Watch()
    watch.look(0, "a")
    watch.look(20, "a")
    watch.outcomes = {"P1:a:1": "failed"}
    watch.look(21, "b")
    assert watch.look(30, "b") == []
    assert watch.look(41, "b") == ["P1:b:1"]


def test_runs_that_succeed_or_are_canceled_are_not_repeated():
    for outcome, status in (("succeeded", "done"), ("canceled", "canceled")):
        watch = Watch()
        watch.look(0, "a")
        watch.look(20, "a")
        watch.outcomes = {"P1:a:1": outcome}
        assert watch.look(60, "a") == []
        assert watch.look(600, "a") == []
        assert watch.plate.status == status


def test_outcomes_are_heard_of_plates_that_were_not_looked_at():
    watch = Watch()
    watch.look(0, "a")
    watch.look(20, "a")
    assert open_run_keys(WatchState.from_json(watch.cursor)) == {"P1": "P1:a:1"}
    watch.outcomes = {"P1:a:1": "failed"}
    assert watch.look(21) == []
    assert watch.plate.status == "failed"
    assert open_run_keys(WatchState.from_json(watch.cursor)) == {}
    assert watch.look(40, "a") == ["P1:a:2"]


def test_a_plate_that_could_not_be_read_or_has_no_images_stays_as_it_was():
    watch = Watch()
    watch.look(0, "a")
    watch.look(20, "a")
    before = watch.plate
    watch.look(30)
    result = plan([seen("empty", 2400.0, n_files=0)], WatchState.from_json(watch.cursor), 2400.0, RULES)
    assert result.state.plates["P1"] == before
    assert watch.look(50, "a") == []


def test_a_look_that_took_long_counts_from_its_end_to_the_next_ones_start():
    first = plan([seen("a", 0.0, lasted=600.0)], WatchState(), 0.0, RULES)
    second = plan([seen("a", 1200.0, lasted=600.0)], first.state, 1200.0, RULES)
    assert second.requests == ()
    third = plan([seen("a", 1800.0)], second.state, 1800.0, RULES)
    assert [request.run_key for request in third.requests] == ["P1:a:1"]
    assert third.settled == {"P1": "a"}


def test_asking_again_raises_the_number_and_removing_silences_a_plate():
    watch = Watch()
    watch.look(0, "a")
    watch.look(20, "a")
    watch.cursor = request_reimport(WatchState.from_json(watch.cursor), "P1").to_json()
    assert watch.look(21, "a") == ["P1:a:2"]
    watch.cursor = exclude(WatchState.from_json(watch.cursor), "P1").to_json()
    watch.look(30, "b")
    assert watch.look(60, "b") == []
    watch.cursor = request_reimport(WatchState.from_json(watch.cursor), "P1").to_json()
    assert watch.look(61, "b") == ["P1:b:1"]


def test_reasons_say_why_a_run_is_needed():
    watch = Watch()
    reasons = []

    def look(minute, fingerprint):
        result = plan(
            [seen(fingerprint, minute * MINUTE)], WatchState.from_json(watch.cursor), minute * MINUTE, RULES, heard
        )
        watch.cursor = result.state.to_json()
        reasons.extend(request.reason for request in result.requests)

    heard = {}
    look(0, "a"), look(20, "a"), look(30, "b"), look(50, "b")
    heard = {"P1:b:1": "failed"}
    look(51, "b"), look(56, "b")
    watch.cursor = request_reimport(WatchState.from_json(watch.cursor), "P1").to_json()
    look(57, "b")
    assert reasons == ["new", "changed", "retry", "again"]


def test_the_state_is_small_json_and_survives_it():
    past = {f"{i:016x}": 1 for i in range(72)}
    plates = {f"plate{i:02d}": PlateWatch("f" * 16, 1.7e9, "f" * 16, 1, 0, None, "done", past) for i in range(50)}
    state = WatchState(plates, resume="plate07")
    text = state.to_json()
    assert WatchState.from_json(text) == state
    assert len(text) < 200_000
    assert WatchState.from_json(None) == WatchState.from_json("") == WatchState()


@pytest.mark.parametrize(
    "text", ["{", "[]", "null", '{"version":9,"plates":{}}', '{"version":1,"resume":null,"plates":{"P":{"x":1}}}']
)
def test_a_cursor_that_cannot_be_read_is_an_error_and_not_a_fresh_start(text):
    with pytest.raises(ExportError, match="cursor cannot be read"):
        WatchState.from_json(text)


def naive_requests(history, settle):
    """From the definition: go back over the looks; a plate is settled if some look at least `settle` before this one
    and all looks since then found the same. Ask for each settled fingerprint unless it was the last one asked for."""
    asked, counts, keys = None, {}, []
    for i, (now, fingerprint) in enumerate(history):
        same = [j for j in range(i) if now - history[j][0] >= settle and all(f == fingerprint for _, f in history[j:i])]
        if same and fingerprint != asked:
            counts[fingerprint] = counts.get(fingerprint, 0) + 1
            keys.append(f"P1:{fingerprint}:{counts[fingerprint]}")
            asked = fingerprint
    return keys


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abc")), max_size=40))
def test_requests_are_those_of_the_definition_whatever_happens_to_the_files(steps):
    now, history = 0, []
    for gap, fingerprint in steps:
        now += gap
        history.append((now * MINUTE, fingerprint))
    watch = Watch()
    keys = [key for at, fingerprint in history for key in watch.look(at / MINUTE, fingerprint)]
    assert keys == naive_requests(history, 20 * MINUTE)
    assert len(set(keys)) == len(keys)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 60),
            st.sampled_from("ab"),
            st.sampled_from([None, "running", "failed", "succeeded", "canceled"]),
        ),
        max_size=60,
    )
)
def test_no_run_key_is_ever_asked_for_twice_and_json_holds_every_state(steps):
    watch, now, keys = Watch(), 0, []
    for gap, fingerprint, outcome in steps:
        now += gap
        if keys and outcome is not None:
            watch.outcomes[keys[-1]] = outcome
        keys += watch.look(now, fingerprint)
        json.loads(watch.cursor)
    assert len(set(keys)) == len(keys)
