"""The ConvAE: the published numbers, its readouts, and what a wrong state dict is told."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from phenoassets.errors import ModelError
from phenoassets.models.card import Card
from phenoassets.models.convae import ConvAE, ConvAEModel, load_convae, pool, readout_dim, trunk
from phenoassets.models.registry import add_model, load_model
from phenoassets.models.transform import Transform

REFERENCE = Path(__file__).resolve().parents[3] / "../shared/data/convae"
needs_reference = pytest.mark.skipif(not REFERENCE.is_dir(), reason="the published weights are not on this machine")


def small_network(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ConvAE().eval()


def card(layer=8, pooling="flatten", transform=None, **changes):
    transform = transform or Transform(crop=32, size=16)
    fields = {
        "name": "m",
        "family": "convae",
        "layer": layer,
        "pooling": pooling,
        "transform": transform,
        "dim": readout_dim(layer, pooling, transform.output_size),
        "weights_sha256": "0" * 64,
    }
    return Card(**fields | changes)


def images(n=5, side=40, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, side, side), dtype=np.uint8)


def printed(value, digits):
    return f"{value:.{digits}f}"


@needs_reference
@pytest.mark.parametrize(
    ("antialias", "mean", "std", "norm", "first", "bce", "mse"),
    [
        (False, ".077339", ".297831", "19.6934", ".14803 .06970 .06431 .04373 .07965", ".68800", ".002609"),
        (True, ".056150", ".226976", "14.9644", ".14787 .06476 .06719 .05369 .08976", ".69001", ".000809"),
    ],
)
def test_published_weights_give_the_published_numbers(tmp_path, antialias, mean, std, norm, first, bce, mse):
    folder = add_model(
        REFERENCE / "trained_model.torch", "published", tmp_path, transform=Transform(antialias=antialias)
    )
    image = np.asarray(Image.open(REFERENCE / "HCT15_example.jpg").convert("L"))
    vector = load_model(folder).embed(image[None])[0].astype(np.float64)

    assert vector.shape == (4096,)
    assert printed(vector.mean(), 6).lstrip("0") == mean
    assert printed(vector.std(), 6).lstrip("0") == std
    assert printed(np.linalg.norm(vector), 4) == norm
    assert " ".join(printed(x, 5).lstrip("0") for x in vector[:5]) == first

    network = load_convae(
        torch.load(REFERENCE / "trained_model.torch", weights_only=True, map_location="cpu"), "published"
    )
    x = Transform(antialias=antialias).apply(image[None])
    with torch.inference_mode():
        y = network(x)
    assert printed(float(functional.binary_cross_entropy(y, x)), 5).lstrip("0") == bce
    assert printed(float(functional.mse_loss(y, x)), 6).lstrip("0") == mse


def test_the_network_has_the_published_number_of_parameters_and_keys():
    network = ConvAE()
    assert sum(p.numel() for p in network.encoder.parameters()) == 94_692
    assert sum(p.numel() for p in network.decoder.parameters()) == 94_689
    assert list(network.state_dict()) == [
        f"{half}.{i}.{what}" for half in ("encoder", "decoder") for i in (0, 3, 6, 8) for what in ("weight", "bias")
    ]


def test_a_reconstruction_has_the_size_of_its_image_and_lies_in_0_to_1():
    with torch.inference_mode():
        y = small_network()(torch.rand(2, 1, 20, 36))
    assert y.shape == (2, 1, 20, 36)
    assert 0 <= float(y.min()) <= float(y.max()) <= 1


@pytest.mark.parametrize("layer", range(9))
def test_moving_relu_behind_the_maximum_changes_no_bit(layer):
    network = small_network()
    x = torch.rand(2, 1, 16, 24)
    with torch.inference_mode():
        assert torch.equal(trunk(network.encoder, layer)(x), network.encoder[: layer + 1](x))


@pytest.mark.parametrize("layer", range(9))
@pytest.mark.parametrize("pooling", ["flatten", "mean", "mean_std"])
def test_embedding_equals_its_definition(layer, pooling):
    network, batch = small_network(), images()
    model = ConvAEModel(card(layer, pooling), network)
    features = network.encoder[: layer + 1](model.transform.apply(batch)).detach().double().numpy()
    expected = {
        "flatten": features.reshape(len(batch), -1),
        "mean": features.mean((2, 3)),
        "mean_std": np.concatenate([features.mean((2, 3)), features.std((2, 3))], axis=1),
    }[pooling]
    vectors = model.embed(batch)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(batch), model.dim)
    np.testing.assert_allclose(vectors, expected, rtol=1e-5, atol=1e-6)


def test_pooled_vectors_say_nothing_of_place_and_flattened_ones_do():
    image = np.full((1, 64, 64), 128, dtype=np.uint8)
    image[0, 16:24, 16:24] = 255
    moved = np.roll(image, (16, 16), axis=(1, 2))
    for pooling, same in (("mean_std", True), ("flatten", False)):
        model = ConvAEModel(card(5, pooling, Transform(crop=64, size=None)), small_network())
        assert np.allclose(model.embed(image), model.embed(moved), rtol=1e-5, atol=1e-6) is same


def test_a_pooled_model_takes_whole_frames_of_any_size():
    model = ConvAEModel(card(2, "mean", Transform(crop=None, size=None)), small_network())
    assert model.embed(np.zeros((1, 52, 70), np.uint8)).shape == (1, 128)
    assert model.embed(np.zeros((3, 16, 16), np.uint8)).shape == (3, 128)


@pytest.mark.parametrize("pooling", ["flatten", "mean_std"])
def test_a_vector_does_not_depend_on_its_batch(pooling):
    model = ConvAEModel(card(8, pooling, Transform(crop=128, size=128)), small_network())
    batch = images(7, 128)
    together = model.embed(batch)
    for size in (1, 2, 3):
        apart = np.concatenate([model.embed(batch[i : i + size]) for i in range(0, 7, size)])
        np.testing.assert_allclose(apart, together, rtol=1e-5, atol=1e-5 * np.abs(together).max())


def test_an_empty_batch_gives_no_rows():
    assert ConvAEModel(card(), small_network()).embed(np.empty((0, 40, 40), np.uint8)).shape == (0, 64)


def test_bf16_lies_near_float32_and_has_another_digest():
    network, batch = small_network(), images()
    full, half = (ConvAEModel(card(5, "mean"), network, precision=p) for p in ("float32", "bf16"))
    assert full.digest != half.digest
    np.testing.assert_allclose(half.embed(batch), full.embed(batch), atol=0.02 * np.abs(full.embed(batch)).max())


def test_loading_a_model_leaves_the_network_that_was_handed_in_alone():
    network = small_network()
    ConvAEModel(card(), network, precision="bf16")
    assert {p.dtype for p in network.parameters()} == {torch.float32}


def test_the_standard_deviation_of_a_large_offset_keeps_its_digits():
    x = torch.from_numpy(1000 + np.random.default_rng(0).normal(0, 0.1, (1, 3, 50, 50))).float()
    expected = x.double().numpy().std((2, 3))
    np.testing.assert_allclose(pool(x, "mean_std")[:, 3:].numpy(), expected, rtol=1e-4)


def test_a_wrong_state_dict_is_told_all_its_faults_at_once():
    state = dict(ConvAE().state_dict())
    del state["encoder.0.bias"]
    state["decoder.9.weight"] = torch.zeros(1)
    state["encoder.3.weight"] = torch.zeros(64, 128, 5, 5)
    state["encoder.6.bias"] = torch.full((32,), torch.nan)
    with pytest.raises(ModelError) as told:
        load_convae(state, "x.pt")
    for part in (
        "x.pt holds no ConvAE",
        "encoder.0.bias is missing",
        "decoder.9.weight is unknown",
        "encoder.3.weight is (64, 128, 5, 5), expected (64, 128, 3, 3)",
        "encoder.6.bias holds values that are no numbers",
    ):
        assert part in str(told.value)


def test_a_card_whose_width_is_wrong_is_refused():
    with pytest.raises(ModelError, match=r"says dim 5, but layer 8 with flatten gives 64"):
        ConvAEModel(card(dim=5), small_network())


@pytest.mark.gpu
def test_cuda_gives_what_the_cpu_gives():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    network, batch = small_network(), images(9, 128)
    for pooling in ("flatten", "mean_std"):
        c = card(8, pooling, Transform(crop=128, size=64))
        on_cpu, on_gpu = (ConvAEModel(c, network, device).embed(batch) for device in ("cpu", "cuda"))
        np.testing.assert_allclose(on_gpu, on_cpu, rtol=1e-4, atol=1e-5)
        alone = np.concatenate([ConvAEModel(c, network, "cuda").embed(batch[i : i + 1]) for i in range(9)])
        np.testing.assert_allclose(alone, on_gpu, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(520, 704), (131, 301), (2, 40), (3, 3)])
def test_strips_of_rows_give_what_whole_images_give(shape):
    network = small_network()
    c = card(2, "mean", Transform(crop=None, size=None))
    batch = np.random.default_rng(1).integers(0, 256, (2, *shape), dtype=np.uint8)
    with torch.inference_mode():
        whole = network.encoder[:3](c.transform.apply(batch)).mean((2, 3)).numpy()
    np.testing.assert_allclose(ConvAEModel(c, network).embed(batch), whole, rtol=1e-5, atol=1e-6)


def test_embedding_leaves_the_number_of_threads_as_it_was():
    before = torch.get_num_threads()
    ConvAEModel(card(), small_network()).embed(images())
    assert torch.get_num_threads() == before


def test_an_error_in_a_batch_leaves_the_threads_as_they_were(monkeypatch):
    model = ConvAEModel(card(), small_network())
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        monkeypatch.setattr(model, "_embed_together", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            model.embed(np.zeros((3, 64, 64), np.uint8))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
