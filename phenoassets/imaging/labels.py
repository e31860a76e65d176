"""The label images of one plate, beside its corrected pictures in the same OME-Zarr.

Label images go in and come out by well, field and position on the time axis of the pictures. Which of them count is
said by the table ``label_images``, written after them; how objects are found is ``segmentation``'s. A segmenter's
labels lie in ``<image group>/labels/<name>``, where viewers of OME-Zarr look for them.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import zarr
from numpy.typing import NDArray

from phenoassets.errors import StoreError
from phenoassets.imaging import ome_zarr as hcs
from phenoassets.imaging.store import FlushedStore, PlateStore, damage_named, faults_named, image_shape, put_flushed

GROUP: Final = "labels"
_DTYPE: Final = "uint32"  # viewers take unsigned labels; a picture may hold more than 65,535 objects
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]*")


class LabelStore:
    """One segmenter's label images of a plate.

    Parameters
    ----------
    pixels
        The plate's pictures; must be there.
    name
        Name of the label images, a part of their path.

    Raises
    ------
    StoreError
        When `name` is none.

    Notes
    -----
    Threads may share one store for reading; one thread writes.
    """

    def __init__(self, pixels: PlateStore, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise StoreError(f"{name!r} is no name of label images; small letters, digits, '_', '-' and '.' make one")
        self._pixels, self.name = pixels, name

    def make_room(self, places: Iterable[tuple[str, int]]) -> None:
        """Have a label array, as long as the time axis of the pictures, at each (well, field)."""
        contents = self._pixels.contents
        shape = image_shape(contents)
        array = hcs.array_document(len(contents.scans), 1, shape, _DTYPE, contents.scans_per_shard)
        image = hcs.label_document(self.name, contents.um_per_pixel, contents.scans)
        with faults_named(self._pixels.path):
            for well, field in sorted(set(places)):
                place = self._pixels.image_path(well, field)
                self._write(f"{place}/{GROUP}/{self.name}/{hcs.ARRAY}/zarr.json", array)
                self._write(f"{place}/{GROUP}/{self.name}/zarr.json", image)
                self._list(place)

    def write(self, well: str, field: int, images: Mapping[int, NDArray[np.integer[Any]]]) -> None:
        """Write label images of one well and field by their position on the time axis.

        Raises
        ------
        StoreError
            When one has another shape than the pictures; when there is no room for it, or no space.
        """
        shape = image_shape(self._pixels.contents)
        for index, labels in images.items():
            if labels.shape != shape:
                raise StoreError(
                    f"{self._pixels.name} {well} field {field} position {index}: labels of "
                    f"{labels.shape[1]} x {labels.shape[0]} pixels, the picture has {shape[1]} x {shape[0]}"
                )
        with faults_named(self._pixels.path):
            array = self._array(well, field)
            for index, labels in images.items():
                array[index, 0] = labels.astype(_DTYPE)

    def read(self, well: str, field: int, index: int) -> NDArray[np.int32]:
        """Label image at a position, (height, width) int32; zeros where nothing was found or written.

        Raises
        ------
        StoreError
            When it is damaged, or there never was room for it.
        """
        with faults_named(self._pixels.path), damage_named(self._pixels, f"{well} field {field} {self.name}"):
            return np.asarray(self._array(well, field)[index, 0]).astype(np.int32)

    def clear(self, well: str, field: int, indices: Sequence[int]) -> None:
        """Forget label images at these positions."""
        with faults_named(self._pixels.path):
            array = self._array(well, field)
            for index in indices:
                array[index, 0] = np.zeros(image_shape(self._pixels.contents), _DTYPE)

    def remove(self) -> None:
        """Delete all label images of this name."""
        contents = self._pixels.contents
        with faults_named(self._pixels.path):
            for well, fields in contents.fields.items():
                for field in fields:
                    place = self._pixels.image_path(well, field)
                    folder = self._pixels.path / place / GROUP / self.name
                    if folder.is_dir():
                        shutil.rmtree(folder)
                        self._list(place)

    def _array(self, well: str, field: int) -> zarr.Array[Any]:
        path = f"{self._pixels.image_path(well, field)}/{GROUP}/{self.name}/{hcs.ARRAY}"
        try:
            return zarr.open_array(FlushedStore(self._pixels.path), path=path, mode="r+", zarr_format=3)
        except FileNotFoundError:
            raise StoreError(
                f"{self._pixels.name} {well} field {field} has no labels {self.name} in {self._pixels.path}; "
                "materialize the objects of the plate again"
            ) from None

    def _list(self, place: str) -> None:
        """Have the image's group of labels name those that are there."""
        folder = self._pixels.path / place / GROUP
        there = sorted(path.parent.name for path in folder.glob("*/zarr.json"))
        self._write(f"{place}/{GROUP}/zarr.json", hcs.labels_document(there))

    def _write(self, name: str, content: bytes) -> None:
        target = self._pixels.path / name
        if not target.is_file() or target.read_bytes() != content:
            put_flushed(target, content, self._pixels.path)


def label_names(pixels: PlateStore) -> set[str]:
    """Names of all label images that lie in a plate's store."""
    return {path.parent.name for path in pixels.path.glob(f"*/*/*/{GROUP}/*/zarr.json")}
