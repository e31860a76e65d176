"""Where models run: CUDA, MPS or the CPU, with a batch size that fits its memory.

A resource limits nothing across processes; one step a device at a time comes of ``pool="gpu"`` on the assets.
"""

from typing import Literal

import dagster as dg


class ComputeDevice(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The compute device, chosen when it is first needed."""

    device: str = "auto"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    batch_size: int = 0

    def resolve(self) -> str:
        """Name of the torch device: the one asked for, or the fastest that is there."""
        import torch  # noqa: PLC0415  # loading a code location must not cost torch's import

        if self.device != "auto":
            return self.device
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"

    def images_per_batch(self, image_bytes: int) -> int:
        """Images a batch: as asked for, or an eighth of the free memory at `image_bytes` of activations each."""
        import psutil  # noqa: PLC0415
        import torch  # noqa: PLC0415

        if self.batch_size:
            return self.batch_size
        device = self.resolve()
        free = torch.cuda.mem_get_info()[0] if device.startswith("cuda") else psutil.virtual_memory().available
        most = 1024 if device.startswith("cuda") else 64
        return int(max(1, min(most, free // 8 // max(image_bytes, 1))))
