"""One run reads its settings once: an edit of screen.toml in its middle is followed by the next run."""

import dagster as dg

from resources.screen import ScreenResource


def test_a_setting_edited_in_the_middle_of_a_run_is_not_seen_by_its_later_steps(home):
    home.root.mkdir(parents=True)
    seen = []

    def configure(k):
        home.settings_file.write_text(f"[trajectories]\nk = {k}\n")

    @dg.asset
    def first(context: dg.AssetExecutionContext, screen: ScreenResource):
        seen.append(screen.load(context.run.run_id).settings.trajectories.k)
        configure(4)

    @dg.asset(deps=[first])
    def second(context: dg.AssetExecutionContext, screen: ScreenResource):
        seen.append(screen.load(context.run.run_id).settings.trajectories.k)

    configure(3)
    resources = {"screen": ScreenResource(home=str(home.root))}
    assert dg.materialize([first, second], resources=resources).success
    assert seen == [3, 3]
    assert dg.materialize([second], resources=resources, selection=[second]).success
    assert seen == [3, 3, 4]
    assert resources["screen"].load().settings.trajectories.k == 4  # a sensor's look


def test_every_asset_asks_for_the_settings_of_its_run(home, monkeypatch):
    from phenoassets.definitions import build_definitions

    asked = []

    def load(self, run_id=None):
        asked.append(run_id)
        raise RuntimeError("enough is known")

    monkeypatch.setattr(ScreenResource, "load", load)
    definitions = build_definitions(home=home)
    job = definitions.resolve_implicit_global_asset_job_def()
    graph = definitions.resolve_asset_graph()
    answers = [key for key in graph.materializable_asset_keys if graph.get(key).partitions_def is None]
    for key in answers:
        with dg.DagsterInstance.ephemeral() as instance:
            result = job.execute_in_process(instance=instance, asset_selection=[key], raise_on_error=False)
        assert asked[-1] == result.run_id
    assert len(asked) == len(answers)
