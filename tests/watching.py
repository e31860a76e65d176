"""A landing folder with its sensors: files that arrive, looks at them, and runs that end as a test wants."""

import json

import dagster as dg

from assets.factory import PLATE_PARTITION
from phenoassets.screen.loading import load_screen
from phenoassets.steps.answer_recipes import answer_recipe
from phenoassets.store.home import Home
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore
from sensors.exports import watch
from sensors.sheets import compare

PLATE_KEYS = [dg.AssetKey(["plates"]), dg.AssetKey(["raw_images"])]
ANSWER_KEYS = [dg.AssetKey(["warehouse"])]


class Landing:
    """One home, its exports and a real instance; every look begins with what was stored, as after a restart."""

    def __init__(self, folder, instance, settings=""):
        self.home = Home(folder / "home")
        self.home.root.mkdir(parents=True, exist_ok=True)
        self.exports = self.home.root / "exports"
        self.exports.mkdir()
        self.configure(settings)
        self.instance = instance
        self.cursor = self.sheet_cursor = None
        self.minutes = 0.0

    def configure(self, settings):
        # No room is kept free: tests run on nearly full disks too.
        text = "[storage]\nmin_free_gb = 0\n" if "[storage]" not in settings else ""
        self.home.settings_file.write_text(f'models = ["pixel_pca"]\nprimary_model = "pixel_pca"\n{text}{settings}')

    @property
    def screen(self):
        return load_screen(self.home)

    @property
    def store(self):
        return TableStore(self.home)

    def put(self, plate, numbers, size=3, text="x"):
        folder = self.exports / plate
        folder.mkdir(exist_ok=True)
        for number in numbers:
            scan, well = divmod(number, 4)
            name = f"VID1_A{well + 1}_1_{scan // 24:02d}d{scan % 24:02d}h00m.tif"
            (folder / name).write_text(text * size)

    def look(self, after_minutes=1.0):
        """One tick of the export sensor; partitions and runs come about as the daemon makes them."""
        self.minutes += after_minutes
        with dg.build_sensor_context(self.instance, self.cursor) as context:
            self.result = watch(context, self.screen, self.store, PLATE_KEYS, self.minutes * 60)
        self.cursor = self.result.cursor
        return [request.partition_key for request in self._launch(self.result)]

    def compare(self, after_minutes=0.0):
        """One tick of the sheets sensor."""
        self.minutes += after_minutes
        with dg.build_sensor_context(self.instance, self.sheet_cursor) as context:
            result = compare(context, self.screen, self.store, ANSWER_KEYS, self.minutes * 60)
        self.sheet_cursor = result.cursor
        return self._launch(result)

    def answer(self, patch):
        """Leave on disk what a run of the answers leaves, with one plate that they can be computed from."""
        patch.setattr("phenoassets.steps.answer_recipes.distances_recipe", lambda *_: "")
        distances, clusters = TABLES["temporal_distances"], TABLES["temporal_clusters"]
        self.store.write(distances.name, distances.empty(), model="pixel_pca", plate="P1")
        recipe = answer_recipe(self.screen, self.store, clusters.name, "pixel_pca")
        self.store.write(clusters.name, clusters.empty(), model="pixel_pca", recipe=recipe)

    def _launch(self, result):
        for request in result.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions(request.partitions_def_name, request.partition_keys)
        launched = []
        for request in result.run_requests:
            tags = {"dagster/run_key": request.run_key}
            if self.instance.get_runs(filters=dg.RunsFilter(tags=tags)):
                continue  # the daemon skips a key that any run has had
            if request.partition_key:
                assert self.instance.has_dynamic_partition(PLATE_PARTITION, request.partition_key)
                tags["dagster/partition"] = request.partition_key
            self.instance.add_run(new_run(dg.DagsterRunStatus.STARTED, {**request.tags, **tags}))
            launched.append(request)
        return launched

    def end_runs(self, status=dg.DagsterRunStatus.SUCCESS):
        for run in self.instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
            self.instance.delete_run(run.run_id)
            self.instance.add_run(new_run(status, run.tags))

    @property
    def known(self):
        return json.loads(self.cursor)["plates"]


def new_run(status, tags):
    from dagster._core.utils import make_new_run_id

    return dg.DagsterRun(job_name="__ASSET_JOB", run_id=make_new_run_id(), status=status, tags=dict(tags))
