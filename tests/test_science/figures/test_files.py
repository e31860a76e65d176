"""Figures as files: the newest only, whole, gone with their plate; thumbnails small enough and still the figure."""

import io

import numpy as np
import pytest
from PIL import Image

from phenoassets.figures import files
from phenoassets.figures.drawing import style


def figure(seed=0, size=(900, 500), noise=12):
    """A PNG of a smooth gradient with noise."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(40, 215, size[0])[None, :, None] + rng.normal(0, noise, (size[1], size[0], 3))
    buffer = io.BytesIO()
    Image.fromarray(ramp.clip(0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def names(home):
    return sorted(
        path.relative_to(home.root).as_posix() for path in (home.root / "figures").rglob("*") if path.is_file()
    )


def test_a_figure_lies_in_the_folder_of_its_table_model_and_plate(home):
    kept = files.keep(home, "temporal_distances", {"distances": figure()}, "m", "P1")
    assert names(home) == ["figures/temporal_distances/model=m/plate=P1/distances.png"]
    assert kept[0].path.read_bytes() == figure()
    files.keep(home, "effect_agreement", {"effects of models": figure()})
    assert "figures/effect_agreement/effects_of_models.png" in names(home)


def test_only_the_newest_figures_of_an_asset_are_kept(home):
    files.keep(home, "drug_effects", {"doses": figure(0), "cytotoxic in images": figure(1)}, "m")
    files.keep(home, "drug_effects", {"doses": figure(2)}, "other")
    kept = files.keep(home, "drug_effects", {"doses": figure(3), "cytotoxic in images": None}, "m")
    assert names(home) == ["figures/drug_effects/model=m/doses.png", "figures/drug_effects/model=other/doses.png"]
    assert kept[0].path.read_bytes() == figure(3)
    assert files.keep(home, "drug_effects", {"doses": None}, "m") == []
    assert names(home) == ["figures/drug_effects/model=other/doses.png"]


def test_every_figure_of_a_plate_is_forgotten_and_no_other(home):
    for plate in ("P1", "P10"):
        files.keep(home, "raw_images", {"raw_images": figure()}, plate=plate)
        files.keep(home, "embeddings", {"embeddings": figure()}, "m", plate)
    files.keep(home, "phenotypes", {"phenotypes": figure()}, "m")
    files.forget(home, "P1")
    assert names(home) == [
        "figures/embeddings/model=m/plate=P10/embeddings.png",
        "figures/phenotypes/model=m/phenotypes.png",
        "figures/raw_images/plate=P10/raw_images.png",
    ]
    files.forget(home, "P1")


@pytest.mark.parametrize("limit", [6_000, 3_000, 1_500])
def test_a_thumbnail_is_as_small_as_asked_and_shows_the_figure(limit):
    made = files.thumbnail(figure(), limit)
    assert len(made) <= limit
    with Image.open(io.BytesIO(made)) as opened, Image.open(io.BytesIO(figure())) as whole:
        assert opened.format == "AVIF"
        assert opened.width / opened.height == pytest.approx(whole.width / whole.height, rel=0.05)
        same = whole.convert("RGB").resize(opened.size, Image.Resampling.LANCZOS)
        error = np.abs(np.asarray(opened.convert("RGB"), float) - np.asarray(same, float)).mean()
    assert error < 12  # of 255; the figure's own range is 175


def test_a_figure_that_is_small_already_keeps_its_size():
    notice = style.notice("No picture", "because")
    with Image.open(io.BytesIO(files.thumbnail(notice, 12_000))) as opened, Image.open(io.BytesIO(notice)) as whole:
        assert opened.size == whole.size


def test_an_events_first_thumbnail_has_more_room_than_the_next(home):
    kept = files.keep(
        home, "temporal_clusters", {"effects": figure(0, noise=60), "trajectories": figure(1, noise=60)}, "m"
    )
    sizes = [len(one.thumbnail) for one in kept]
    assert sizes[1] <= files.NEXT_THUMBNAIL_BYTES * 3 // 4 < sizes[0] <= files.FIRST_THUMBNAIL_BYTES * 3 // 4


def test_a_file_that_cannot_be_written_is_said_and_fails_nothing(home, caplog):
    (home.root / "figures").parent.mkdir(parents=True, exist_ok=True)
    (home.root / "figures").write_text("in the way")
    kept = files.keep(home, "raw_images", {"raw_images": figure()}, plate="P1")
    assert kept[0].path is None
    assert kept[0].thumbnail
    assert "figure raw_images.png could not be kept" in caplog.text


@pytest.mark.parametrize("limit", [1, 900, 2_500, 9_000, 10**6])
def test_a_thumbnail_is_the_widest_that_fits(limit, monkeypatch):
    png = figure()
    every = []
    for width in files._WIDTHS:
        with monkeypatch.context() as patch:
            patch.setattr(files, "_WIDTHS", (width,))
            patch.setattr(files, "_FIRST_TRIED", width)
            every.append(files.thumbnail(png, 10**9))
    assert files.thumbnail(png, limit) == next((one for one in every if len(one) <= limit), every[-1])
