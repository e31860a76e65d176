"""Stacks and manifests as downloaders of this instrument write them, made of pictures that tests choose."""

import json

import numpy as np
import tifffile

CHANNEL_TYPES = {"phase": ("Phase", 1), "green": ("Green", 2), "red": ("Red", 3)}


def picture(well, channel, scan, shape=(24, 32), dtype=np.uint8):
    """Another picture for each well, channel and scan."""
    seed = [*f"{well}{channel}".encode(), scan]
    return np.random.default_rng(seed).integers(1, 200, shape).astype(dtype)


def write_stack(folder, well="A1", channels=("phase",), times=(), *, axes=None, pixels=None, name=None, **options):
    """Write one well's stack as an ImageJ hyperstack and return its entry of a manifest.

    `pixels` has the shape of `axes` (TCYX by default), times outermost; `options` go to tifffile.
    """
    n = max(1, len(times))
    if pixels is None:
        pixels = np.stack([np.stack([picture(well, c, t) for c in channels]) for t in range(n)])
    axes = axes or ("TCYX" if len(channels) > 1 else "TYX")
    shape = [len(times) or 1 if a == "T" else len(channels) for a in axes[:-2]]
    name = name or f"VID38_{well}_{'-'.join(channels)}_timestack.tif"
    folder.mkdir(parents=True, exist_ok=True)
    options = {"imagej": True, "metadata": {"axes": axes}} | options
    tifffile.imwrite(folder / name, pixels.reshape(*shape, *pixels.shape[-2:]), **options)
    return {
        "path": f"C:\\out\\run-01\\{name}",
        "vessel_id": 38,
        "well": well,
        "row": ord(well[0]) - 65,
        "col": int(well[1:]) - 1,
        "site": None,
        "axes": axes,
        "channels": [CHANNEL_TYPES[c][0] for c in channels],
        "image_types": [CHANNEL_TYPES[c][1] for c in channels],
        "scan_times": list(times),
        "frame_count": len(times),
    }


def by_records(entry):
    """An entry as later versions of the downloader write it: one record a channel."""
    pairs = zip(entry["channels"], entry["image_types"], strict=True)
    records = [{"index": i, "name": n, "image_type": t, "source": "device"} for i, (n, t) in enumerate(pairs, start=1)]
    return {key: value for key, value in entry.items() if key != "image_types"} | {"channels": records[::-1]}


def write_manifest(folder, entries, **more):
    content = {"manifest_version": 1, "generated_by": "pyincucyte", "files": list(entries)} | more
    (folder / "pyincucyte-manifest.json").write_text(json.dumps(content, indent=2))
