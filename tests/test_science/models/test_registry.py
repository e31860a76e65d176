"""Model folders: found by name, checked by digest, added from checkpoints; every fault is told."""

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from phenoassets.errors import ModelError
from phenoassets.models import Transform, add_model, find_model, list_models, load_card, load_model
from phenoassets.models.card import Card, parse_card, read_card, sha256_of
from phenoassets.models.convae import ConvAE
from phenoassets.models.registry import SHIPPED, write_model


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(3)
    path = tmp_path / "mine.pt"
    torch.save(ConvAE().state_dict(), path)
    return path


@pytest.fixture
def root(tmp_path):
    return tmp_path / "home" / "models"


def spoil(folder, **changes):
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | changes))


@pytest.mark.parametrize(("name", "dim"), [("convae", 4096), ("convae_pooled", None), ("pixel_pca", 64)])
def test_shipped_models_load_and_embed(name, dim):
    model = load_model(name)
    assert model.name == name
    assert dim is None or model.dim == dim
    side = np.random.default_rng(0).integers(90, 160, (3, 520, 704), dtype=np.uint8)
    vectors = model.embed(side)
    assert vectors.shape == (3, model.dim)
    assert np.isfinite(vectors).all()
    assert len(np.unique(vectors, axis=0)) == 3


def test_shipped_models_stay_under_a_megabyte_and_say_what_trained_them():
    assert sum(path.stat().st_size for path in SHIPPED.glob("*/*") if path.is_file()) < 1_000_000
    for name in ("convae", "convae_pooled", "pixel_pca"):
        training = load_card(name).training
        assert training is not None
        assert training.sim_version
        assert min(training.seeds) >= 1000
    trained = load_card("convae").training
    assert trained is not None
    assert trained.bce_excess is not None
    assert 0 < trained.bce_excess < trained.bce


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o755), (0o077, 0o700)])
def test_a_model_folder_has_the_permissions_that_the_umask_leaves(root, mask, mode):
    fields = json.loads((SHIPPED / "pixel_pca" / "card.json").read_text())
    del fields["weights_sha256"]
    state = load_file(SHIPPED / "pixel_pca" / "weights.safetensors")
    before = os.umask(mask)
    try:
        write_model(root / "mine", fields | {"name": "mine"}, state)
    finally:
        os.umask(before)
    assert (root / "mine").stat().st_mode & 0o777 == mode
    assert {path.stat().st_mode & 0o777 for path in (root / "mine").iterdir()} == {mode & 0o666}


def test_the_pooled_model_shares_the_weights_of_convae():
    pooled, flat = load_card("convae_pooled"), load_card("convae")
    assert pooled.weights_of == "convae"
    assert pooled.weights_sha256 == flat.weights_sha256
    assert pooled.digest() != flat.digest()
    assert not (SHIPPED / "convae_pooled" / "weights.safetensors").exists()


def test_models_are_listed_and_cards_read_without_torch():
    code = (
        "import sys; from phenoassets.models import list_models, load_card; import phenoassets.embedding; "
        "assert len(list_models()) >= 3 and load_card('convae').digest(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("suffix", [".torch", ".pt", ".pth", ".safetensors"])
def test_a_checkpoint_is_added_as_safetensors_with_a_card(checkpoint, root, suffix):
    state = torch.load(checkpoint, weights_only=True)
    source = checkpoint.with_name(f"source{suffix}")
    (save_file if suffix == ".safetensors" else torch.save)(state, source)
    folder = add_model(source, "mine", root, layer=5, pooling="mean_std", transform=Transform(crop=512, size=256))

    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "weights.safetensors"]
    card = read_card(folder)
    assert (card.name, card.layer, card.pooling, card.dim) == ("mine", 5, "mean_std", 128)
    assert card.transform.crop == 512
    assert sha256_of(source) in str(card.source)
    stored = load_file(folder / "weights.safetensors")
    assert all(torch.equal(stored[key], state[key]) for key in state)
    assert load_model("mine", root=root).dim == 128
    assert [path.name for path in root.iterdir()] == ["mine"]


def test_a_model_is_found_by_folder_and_the_home_comes_before_the_shipped(checkpoint, root):
    folder = add_model(checkpoint, "convae", root)
    assert find_model(folder) == folder
    assert find_model("convae", root=root) == folder
    assert find_model("convae") == SHIPPED / "convae"
    assert load_model(str(folder)).digest == load_model("convae", root=root).digest != load_model("convae").digest


def test_the_digest_follows_all_that_changes_an_embedding_and_nothing_else():
    card = load_card("convae")
    digests = {
        card.digest(),
        card.digest("bf16"),
        card.model_copy(update={"layer": 7}).digest(),
        card.model_copy(update={"pooling": "mean"}).digest(),
        card.model_copy(update={"weights_sha256": "1" * 64}).digest(),
        *(
            card.model_copy(update={"transform": card.transform.model_copy(update=change)}).digest()
            for change in ({"antialias": False}, {"crop": 128}, {"size": 64}, {"intensity": "percentile"})
        ),
    }
    assert len(digests) == 9
    assert card.model_copy(update={"description": "other", "name": "other"}).digest() == card.digest()


def test_a_card_survives_its_text():
    card = Card(
        name="a",
        family="convae",
        dim=128,
        layer=2,
        pooling="mean",
        transform=Transform(crop=None, size=None),
        weights_sha256="0" * 64,
    )
    assert parse_card(card.to_json(), "card") == card


@pytest.mark.parametrize("name", ["../evil", "a/b", "", ".hidden", "1st", "a b", "a\n", "x" * 65, ".."])
def test_a_name_that_leaves_the_root_is_refused(checkpoint, root, name):
    with pytest.raises(ModelError, match="cannot be used as a name"):
        add_model(checkpoint, name, root)
    assert not root.exists()


def test_a_sibling_named_in_a_card_cannot_leave_the_root(checkpoint, root):
    folder = add_model(checkpoint, "mine", root)
    spoil(folder, weights_of="../elsewhere")
    with pytest.raises(ModelError, match="weights_of"):
        load_model(folder)


def test_a_name_that_is_taken_is_refused(checkpoint, root):
    add_model(checkpoint, "mine", root)
    with pytest.raises(ModelError, match="there is a model mine"):
        add_model(checkpoint, "mine", root)


def test_a_layer_that_the_encoder_lacks_is_refused(checkpoint, root):
    for layer in (-1, 9):
        with pytest.raises(ModelError, match="none of the encoder's"):
            add_model(checkpoint, "mine", root, layer=layer)
    with pytest.raises(ModelError, match="fixed crop or size"):
        add_model(checkpoint, "mine", root, transform=Transform(crop=None, shrink=2))


def test_an_unknown_name_is_told_the_known_ones(root):
    with pytest.raises(ModelError, match="known are convae, convae_pooled, pixel_pca"):
        load_model("resnet", root=root)


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"card\.json cannot be read"):
        load_model(tmp_path)
    with pytest.raises(ModelError, match="no such folder"):
        load_model(tmp_path / "nowhere")


def test_weights_with_another_digest_are_refused(checkpoint, root):
    folder = add_model(checkpoint, "mine", root)
    file = folder / "weights.safetensors"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    with pytest.raises(ModelError, match="the weights were changed"):
        load_model(folder)
    file.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(folder)


def test_all_faults_of_a_card_are_told_at_once(checkpoint, root):
    folder = add_model(checkpoint, "mine", root)
    spoil(folder, colour="blue", dim=0, layer=12)
    with pytest.raises(ModelError) as told:
        load_model(folder)
    for part in ("colour", "dim", "layer"):
        assert part in str(told.value)
    (folder / "card.json").write_text("{")
    with pytest.raises(ModelError, match="not valid JSON"):
        load_model(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pooling": None}, "names layer and pooling"),
        ({"family": "pixel_pca"}, "neither layer nor pooling"),
        ({"transform": {"crop": None, "size": None}}, "must fix crop or size"),
        ({"transform": {"n_channels": 3}}, "takes 1 channel"),
        ({"dim": 17}, "says dim 17"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(checkpoint, root, change, message):
    folder = add_model(checkpoint, "mine", root)
    spoil(folder, **change)
    with pytest.raises(ModelError, match=message):
        load_model(folder)


def test_a_broken_model_is_listed_with_its_problem_and_the_others_without(checkpoint, root):
    folder = add_model(checkpoint, "mine", root)
    spoil(folder, weights_sha256="0" * 64)
    (root / "not a model").mkdir()
    listed = {model.name: model for model in list_models(root)}
    assert list(listed) == ["convae", "convae_pooled", "mine", "pixel_pca"]
    assert "sha256" in str(listed["mine"].problem)
    assert not listed["mine"].shipped
    assert [listed[name].problem for name in ("convae", "convae_pooled", "pixel_pca")] == [None] * 3


class Evil:
    def __reduce__(self):
        return os.system, ("touch /nonexistent/evil",)


def test_a_pickle_that_runs_code_is_refused(tmp_path, root):
    for source, protocol in ((tmp_path / "evil.pt", None), (tmp_path / "raw.pt", 4)):
        if protocol is None:
            torch.save({"encoder.0.weight": Evil()}, source)
        else:
            source.write_bytes(pickle.dumps(Evil(), protocol))
        with pytest.raises(ModelError, match="cannot be read as plain weights"):
            add_model(source, "evil", root)
    assert not root.exists()


def test_files_that_are_no_state_dict_are_refused(tmp_path, root):
    torch.save([1, 2], tmp_path / "list.pt")
    (tmp_path / "text.pt").write_text("hello")
    (tmp_path / "bad.safetensors").write_bytes(b"hello")
    torch.save({"w": torch.zeros(3)}, tmp_path / "other.pt")
    for name, message in (
        ("list.pt", "holds no state dict"),
        ("text.pt", "cannot be read as plain weights"),
        ("bad.safetensors", "no safetensors file"),
        ("missing.pt", "there is no such file"),
        ("other.pt", "encoder.0.weight is missing.*w is unknown"),
    ):
        with pytest.raises(ModelError, match=message):
            add_model(tmp_path / name, "x", root)


def test_a_write_that_fails_leaves_nothing_behind(root):
    with pytest.raises(ValueError, match="dim"):
        write_model(root / "x", {"name": "x", "family": "pixel_pca", "dim": 0}, {"mean": torch.zeros(2)})
    assert list(root.iterdir()) == []


def test_a_device_that_is_not_there_is_named():
    missing = "cuda:7" if torch.cuda.is_available() else "cuda"
    with pytest.raises(ModelError, match=f"device {missing} is not there"):
        load_model("convae", device=missing)
    with pytest.raises(ModelError, match="is unknown"):
        load_model("convae", device="abacus")


def test_a_model_is_replaced_once_the_new_one_is_whole(checkpoint, root, monkeypatch):
    folder = add_model(checkpoint, "mine", root)
    before = load_card("mine", root=root)
    with pytest.raises(ModelError, match="or replace it by --replace"):
        add_model(checkpoint, "mine", root, layer=4)
    rename = type(folder).rename

    def broken_off(self, target):
        if target == folder and before_is_aside():
            raise OSError("a full disk")
        return rename(self, target)

    def before_is_aside():
        failed.append(not folder.exists())
        return failed == [True]  # the old one is put back at the second time

    failed = []
    monkeypatch.setattr(type(folder), "rename", broken_off)
    with pytest.raises(OSError, match="a full disk"):
        add_model(checkpoint, "mine", root, layer=4, replace=True)
    monkeypatch.undo()
    assert load_card("mine", root=root) == before
    assert [path.name for path in root.iterdir()] == ["mine"]
    add_model(checkpoint, "mine", root, layer=4, replace=True)
    assert load_card("mine", root=root).layer == 4
    assert [path.name for path in root.iterdir()] == ["mine"]
