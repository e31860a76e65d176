"""The refresh of the screen's answers: what asks for it, what does not, and that no change is lost."""

import datetime as dt

import dagster as dg
import pytest

from assets.factory import PLATES
from assets.warehouse import WAREHOUSE, refresh_condition
from phenoassets.definitions import build_definitions
from sensors.refresh import refresh_sensor

ANSWERS = {"sphered": ["profiles", "maps"], "strong": ["sphered"], "clusters": ["distances"]}
NOON = dt.datetime(2026, 1, 1, 12, 10, tzinfo=dt.UTC)


class Bench:
    """A small graph under the real conditions; ticks and runs follow one another as the daemon makes them."""

    def __init__(self, instance):
        self.instance = instance
        self.versions = {}
        self.during = {}
        self.cursor = None
        self.now = NOON
        self.fails = set()
        self.assets = [self._plate_asset(name) for name in ("maps", "profiles", "distances")]
        self.assets += [self._answer(name, deps, WAREHOUSE) for name, deps in ANSWERS.items()]
        self.assets.append(self._answer("warehouse", ["strong", "clusters"], None))
        self.job = dg.Definitions(self.assets).resolve_implicit_global_asset_job_def()

    def _plate_asset(self, name):
        @dg.asset(name=name, partitions_def=PLATES)
        def of_plate(context: dg.AssetExecutionContext):
            return self._made(name, context.partition_key)

        return of_plate

    def _answer(self, name, deps, last):
        @dg.asset(name=name, deps=deps, automation_condition=refresh_condition(last))
        def answer():
            return self._made(name, None)

        return answer

    def _made(self, name, plate):
        self.during.pop(name, lambda: None)()
        if name in self.fails:
            raise RuntimeError("it fails")
        return dg.MaterializeResult(data_version=dg.DataVersion(self.versions.get((name, plate), "1")))

    def plate_run(self, plate, *changed, only=("maps", "profiles", "distances")):
        for name in changed:
            self.versions[name, plate] = str(int(self.versions.get((name, plate), "1")) + 1)
        self.instance.add_dynamic_partitions("plate", [plate])
        self.run(only, plate)

    def tick(self, minutes=5):
        self.now += dt.timedelta(minutes=minutes)
        found = dg.evaluate_automation_conditions(
            self.assets,
            self.instance,
            dg.AssetSelection.all(),
            evaluation_time=self.now,
            cursor=self.cursor,
        )
        self.cursor = found.cursor
        wanted = [one.key.to_user_string() for one in found.results if not one.true_subset.is_empty]
        return sorted(wanted)

    def run(self, names, plate=None):
        self.job.execute_in_process(
            instance=self.instance,
            partition_key=plate,
            asset_selection=[dg.AssetKey(name) for name in names],
            raise_on_error=False,
        )

    def settle(self, times=4):
        """Tick and run what is asked for; return what was."""
        asked = []
        for _ in range(times):
            wanted = self.tick()
            if wanted:
                asked.append(wanted)
                self.run(wanted)
        return asked


EVERYTHING = ["clusters", "sphered", "strong", "warehouse"]


@pytest.fixture
def instance(tmp_path):
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        yield instance


@pytest.fixture
def bench(instance):
    return Bench(instance)


@pytest.fixture
def refreshed(bench):
    bench.tick()
    bench.plate_run("P1")
    assert bench.settle() == [EVERYTHING]
    return bench


def test_the_first_plate_brings_one_refresh_of_everything_and_no_other_follows(bench):
    assert bench.settle() == []
    bench.plate_run("P1")
    assert bench.settle(6) == [EVERYTHING]


def test_plates_made_before_the_sensor_first_looked_are_refreshed_too(bench):
    bench.plate_run("P1")
    assert bench.settle() == [EVERYTHING]


def test_nothing_is_asked_for_while_a_plate_has_only_part_of_what_the_answers_need(bench):
    bench.tick()
    bench.plate_run("P1", only=["maps"])
    assert bench.settle() == []
    bench.plate_run("P1")
    assert bench.settle() == [EVERYTHING]


def test_a_run_that_changed_nothing_brings_no_refresh(refreshed):
    refreshed.plate_run("P1")
    assert refreshed.settle() == []


def test_a_changed_plate_brings_one_refresh_of_what_follows_from_it(refreshed):
    refreshed.plate_run("P1", "distances")
    assert refreshed.settle() == [["clusters", "warehouse"]]
    refreshed.plate_run("P1", "profiles")
    assert refreshed.settle() == [["sphered", "strong", "warehouse"]]


def test_many_plates_are_bundled_into_one_refresh(refreshed):
    for number in range(2, 8):
        refreshed.plate_run(f"P{number}")
    assert refreshed.settle() == [EVERYTHING]


def test_a_plate_that_changes_while_the_refresh_runs_brings_another(refreshed):
    refreshed.plate_run("P1", "profiles")
    refreshed.during["strong"] = lambda: refreshed.plate_run("P1", "profiles")
    assert refreshed.settle(6) == [["sphered", "strong", "warehouse"]] * 2


def test_a_plate_that_changes_in_the_tick_in_which_the_refresh_ends_brings_another(refreshed):
    refreshed.plate_run("P1", "profiles")
    wanted = refreshed.tick()
    refreshed.run(wanted)
    refreshed.plate_run("P1", "profiles")  # after the end, before the next tick
    assert refreshed.settle(6) == [["sphered", "strong", "warehouse"]]


def test_a_plate_that_changes_between_the_request_and_its_run_in_one_tick_is_not_lost(refreshed):
    refreshed.plate_run("P1", "profiles")
    wanted = refreshed.tick()
    refreshed.plate_run("P1", "profiles")  # the other order: before the refresh has begun
    refreshed.run(wanted)
    assert refreshed.settle(6) == [["sphered", "strong", "warehouse"]]


def test_a_change_seen_by_a_tick_while_the_refresh_runs_waits_for_its_end(refreshed):
    refreshed.plate_run("P1", "profiles")
    seen = []

    def plate_and_ticks():
        refreshed.plate_run("P1", "distances")
        seen.extend([refreshed.tick(), refreshed.tick()])

    refreshed.during["strong"] = plate_and_ticks
    assert refreshed.settle(1) == [["sphered", "strong", "warehouse"]]
    assert seen == [[], []]
    assert refreshed.settle(6) == [["clusters", "warehouse"]]


def test_a_plate_that_is_worked_on_is_waited_for_but_no_longer_than_an_hour(refreshed):
    seen = {}

    def ticks():
        refreshed.plate_run("P2")
        seen["before the hour"] = [refreshed.tick() for _ in range(3)]
        refreshed.now = refreshed.now.replace(minute=58)
        refreshed.tick(0)
        seen["after"] = refreshed.tick()

    refreshed.now = NOON + dt.timedelta(hours=3)
    refreshed.tick()
    refreshed.during["distances"] = ticks
    refreshed.plate_run("P1", "maps", "distances", "profiles")
    assert seen["before the hour"] == [[], [], []]
    assert seen["after"] == EVERYTHING


def test_an_answer_made_by_hand_brings_those_that_follow_from_it(refreshed):
    refreshed.versions["sphered", None] = "2"
    refreshed.run(["sphered"])
    assert refreshed.settle() == [["strong", "warehouse"]]


def test_a_refresh_that_fails_is_not_asked_for_again_until_something_changes(refreshed):
    refreshed.plate_run("P1", "profiles")
    refreshed.fails.add("sphered")
    assert len(refreshed.settle(5)) == 1
    refreshed.fails.clear()
    refreshed.plate_run("P1", "profiles")
    assert refreshed.settle() == [["sphered", "strong", "warehouse"]]


@pytest.mark.parametrize(("minutes", "seconds"), [(5.0, 300), (0.0, 30), (90.0, 5400), (0.1, 30)])
def test_there_is_at_most_one_look_and_so_one_refresh_in_refresh_minutes(minutes, seconds):
    sensor = refresh_sensor([WAREHOUSE], minutes)
    assert sensor.minimum_interval_seconds == seconds
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING


def test_the_real_answers_are_all_under_the_condition_and_ask_for_nothing_in_an_empty_home(home, instance):
    definitions = build_definitions(home=home)
    graph = definitions.resolve_asset_graph()
    answers = {key for key in graph.materializable_asset_keys if graph.get(key).partitions_def is None}
    assert WAREHOUSE in answers
    assert all(graph.get(key).automation_condition is not None for key in answers)
    times = {dg.AssetKey(["plates"]), dg.AssetKey(["scans"])}
    assert times <= graph.get(dg.AssetKey(["temporal_clusters", "convae"])).parent_keys
    first = dg.evaluate_automation_conditions(definitions, instance, dg.AssetSelection.all())
    second = dg.evaluate_automation_conditions(definitions, instance, dg.AssetSelection.all(), cursor=first.cursor)
    assert first.total_requested == second.total_requested == 0
