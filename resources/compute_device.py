"""Where models run: CUDA, MPS or the CPU, with a batch size that fits its memory.

A resource limits nothing across processes; one step a device at a time comes of ``pool="gpu"`` on the assets.
"""

import dagster as dg

from phenoassets.models.base import Model


class ComputeDevice(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The compute device, chosen when it is first needed."""

    device: str = "auto"
    batch_size: int = 0

    def resolve(self) -> str:
        """Name of the torch device: the one asked for, or the fastest that is there."""
        import torch  # loading a code location must not cost torch's import

        if self.device != "auto":
            return self.device
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"

    def images_per_batch(self, model: Model) -> int:
        """Images a batch: as asked for, or what an eighth of the free memory holds of the model's activations."""
        import psutil
        import torch

        if self.batch_size:
            return self.batch_size
        device = self.resolve()
        free = torch.cuda.mem_get_info()[0] if device.startswith("cuda") else psutil.virtual_memory().available
        most = 1024 if device.startswith("cuda") else 64
        return int(max(1, min(most, free // 8 // _activation_bytes(model))))


def _activation_bytes(model: Model) -> int:
    """Memory that one image takes at the widest layer: 128 channels of float32 and as much for the next."""
    height, width = model.transform.output_size or (1024, 1024)
    return height * width * 128 * 4 * 2
