import json
import shutil

import numpy as np
import pytest
import torch

from phenoassets.errors import ModelError
from phenoassets.imaging.cell_network import (
    CENTRE,
    DEAD,
    GAIN,
    LIMIT,
    SHIPPED,
    CellNetwork,
    fold_norms,
    fractions_above,
    load_network,
    network_input,
    predict,
    shipped_network,
)


def test_folded_norms_change_no_answer():
    torch.manual_seed(0)
    network = CellNetwork()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2.0)
    network.eval()
    batch = torch.randn(1, 1, 64, 96)
    with torch.inference_mode():
        expected = network(batch)
    with torch.inference_mode():
        found = fold_norms(network)(batch)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_the_input_is_grey_over_median_at_a_fixed_gain(dtype):
    rng = np.random.default_rng(0)
    for size in ((5, 7), (6, 8)):  # an odd and an even number of pixels
        image = rng.integers(40, 220, size).astype(dtype)
        naive = np.clip(GAIN * (image.astype(float) / np.median(image) - 1), -LIMIT, LIMIT)
        np.testing.assert_allclose(network_input(image), naive, atol=1e-5)


def test_a_dark_picture_gives_no_input():
    assert network_input(np.zeros((4, 4), np.uint8)) is None
    assert network_input(np.full((4, 4), np.nan, np.float32)) is None
    assert network_input(np.zeros((0, 4), np.float32)) is None


@pytest.mark.parametrize("shape", [(1, 1), (15, 40), (33, 48)])
def test_maps_have_the_size_that_was_asked_for_and_lie_between_0_and_1(shape):
    network, _ = shipped_network()
    maps = predict(np.random.default_rng(0).normal(size=(30, 41)).astype(np.float32), shape, network)
    assert maps.shape == (3, *shape)
    assert float(maps.min()) >= 0
    assert float(maps.max()) <= 1


@pytest.mark.parametrize("shape", [(1, 1), (15, 40), (33, 47), (32, 48)])
def test_fractions_are_those_of_the_maps(shape):
    network, _ = shipped_network()
    inputs = np.random.default_rng(0).normal(size=(30, 41)).astype(np.float32)
    maps = predict(inputs, shape, network).numpy()
    limits = {which: float(np.median(maps[which])) * 1.0001 for which in (DEAD, CENTRE)}
    found = fractions_above(limits, inputs, shape, network)
    expected = [(maps[which] > limit).mean() for which, limit in limits.items()]
    assert found == pytest.approx(expected, abs=1.5 / maps[0].size)  # at the limit one may fall either way


def test_the_card_says_what_the_weights_are():
    _, card = shipped_network()
    assert card.um_per_pixel[0] < 1.24 < card.um_per_pixel[1]
    assert "MIT" in card.credit
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 2_000_000


def test_changed_weights_are_refused(tmp_path):
    folder = tmp_path / "cells"
    shutil.copytree(SHIPPED, folder)
    raw = bytearray((folder / "weights.safetensors").read_bytes())
    raw[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(raw)
    with pytest.raises(ModelError, match=r"the weights have sha256 .* the card names"):
        load_network(folder)


def test_a_card_that_is_none_and_a_missing_file_are_named(tmp_path):
    with pytest.raises(ModelError, match="holds no cell network"):
        load_network(tmp_path)
    shutil.copytree(SHIPPED, tmp_path / "cells")
    card = json.loads((tmp_path / "cells" / "card.json").read_text())
    (tmp_path / "cells" / "card.json").write_text(json.dumps(card | {"more": 1}))
    with pytest.raises(ModelError, match="no card of a cell network"):
        load_network(tmp_path / "cells")
