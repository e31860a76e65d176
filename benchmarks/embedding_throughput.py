"""Images embedded a second: the streamed way beside one image at a time, in one run.

    python benchmarks/embedding_throughput.py [--models convae,convae_pooled,pixel_pca] [--device cpu] [--images 64]

Frames are 520 x 704 px and lie in memory, so reading costs nothing and only the embedding is measured. The naive way
is what a first script does: one image a call, the layers as they stand in the network. The two take turns, and the
best of each is told, because other work on the machine can only make either slower.
"""

import argparse
import sys
import time

import numpy as np
import torch

from phenoassets.embedding import embed_images
from phenoassets.models import find_model, load_model
from phenoassets.models.convae import ConvAEModel, load_convae, pool


def naive(name, device):
    """One image a call: transform, the network's own layers, pooling."""
    model = load_model(name, device=device)
    if not isinstance(model, ConvAEModel):
        return lambda frame: model.embed(frame[None])[0]
    from safetensors.torch import load_file

    folder = find_model(model.card.weights_of or name)
    encoder = load_convae(load_file(folder / "weights.safetensors"), name).encoder[: model.card.layer + 1].to(device)

    def embed(frame):
        with torch.no_grad():
            return pool(encoder(model.transform.apply(frame[None], device)), model.pooling).cpu().numpy()[0]

    return embed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="convae,convae_pooled,pixel_pca")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    frames = np.random.default_rng(0).integers(100, 156, (args.images, 520, 704), dtype=np.uint8)
    print(
        f"{args.device}, {args.precision}, {torch.get_num_threads()} threads, {args.images} frames, "
        f"torch {torch.__version__}"
    )
    print(f"{'model':<16}{'streamed /s':>14}{'naive /s':>12}{'ratio':>8}{'largest difference':>22}")
    worst = 0.0
    for name in args.models.split(","):
        model, one = load_model(name, device=args.device, precision=args.precision), naive(name, args.device)
        one(frames[0])
        fast = slow = np.inf
        for _ in range(args.rounds):
            vectors = []
            start = time.perf_counter()
            embed_images(range(args.images), frames.__getitem__, model, lambda _, v, out=vectors: out.append(v))
            fast = min(fast, time.perf_counter() - start)
            start = time.perf_counter()
            plain = np.stack([one(frame) for frame in frames])
            slow = min(slow, time.perf_counter() - start)
        streamed = np.concatenate(vectors)
        away = float(np.abs(streamed - plain).max() / np.abs(plain).max())
        worst = max(worst, away)
        print(f"{name:<16}{args.images / fast:>14.1f}{args.images / slow:>12.1f}{slow / fast:>8.2f}{away:>22.1e}")
    return 0 if args.precision != "float32" or worst < 1e-5 else 1


if __name__ == "__main__":
    sys.exit(main())
