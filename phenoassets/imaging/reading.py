"""Open one image file as one grey picture, or say why not.

A path goes in, or a path and the page of a stack; a two-dimensional array of uint8, uint16 or float32 comes out. What
a picture is worth is judged in ``quality``; which file belongs to which well is known to ``incucyte``.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from phenoassets.errors import ImageError
from phenoassets.incucyte.stack_heads import is_virtual

MAX_PIXELS: Final = 80_000_000
"""Larger pictures are refused before a pixel is decoded: no instrument writes them, decompression bombs do."""

TRANSIENT_REASONS: Final = frozenset({"missing", "no_permission", "io_error"})
"""Reasons that say nothing about the picture: a share that is away, a folder that is closed. Worth another try."""

_KINDS: Final = ("uint8", "uint16", "float32")
_PILLOW_DTYPES: Final = {
    "L": "uint8",
    "LA": "uint8",
    "P": "uint8",
    "RGB": "uint8",
    "RGBA": "uint8",
    "I;16": "uint16",
    "I;16L": "uint16",
    "I;16B": "uint16",
}
_MINISWHITE, _PALETTE = 0, 3
_PNG: Final = b"\x89PNG\r\n\x1a\n"


class Header(NamedTuple):
    """What the head of an image file says: size in pixels, type of a pixel, and ``tiff``, ``png`` or ``jpeg``."""

    width: int
    height: int
    dtype: str
    format: str


def read_image(path: str | Path, page: int | None = None, *, sha256: str | None = None) -> NDArray[Any]:
    """Read the grey picture in a TIFF, PNG or JPEG file.

    The first level of a pyramid is the picture. Three equal colour channels are one grey channel; an opaque alpha
    channel is dropped; white-is-zero TIFFs are turned round.

    Parameters
    ----------
    path
        The file; its content, not its suffix, decides the format.
    page
        Page of a stack, from 0, which alone is read; None where the file is one picture.
    sha256
        Digest that the very bytes which are decoded must have, or of a page its pixels (see `pixels_digest`); None
        takes any.

    Returns
    -------
    numpy.ndarray
        Shape (height, width), dtype uint8, uint16 or float32, contiguous and in native byte order.

    Raises
    ------
    ImageError
        ``missing``, ``no_permission``, ``io_error`` (see `TRANSIENT_REASONS`); ``not_a_file``, ``empty_file``,
        ``not_an_image``, ``unreadable``, ``too_large``, ``multi_page``, ``display_only`` (colours, an overlay or
        transparency), ``unsupported_type``, ``not_finite``; ``changed_since_import`` where the digest is another.
    """
    path = Path(path)
    if page is not None:
        return _read_page(path, page, sha256)
    with _faults_named(path):
        is_tiff = _is_tiff(path)
        content = path.read_bytes()  # once: what is hashed is what is decoded
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
            raise ImageError("changed_since_import", f"{path.name} is no longer the file that was catalogued")
        if is_tiff:
            with tifffile.TiffFile(io.BytesIO(content), name=path.name) as tiff:
                pixels = _tiff_pixels(tiff, path)
        else:
            with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as picture:
                _pillow_header(picture, path)
                deep = _is_deep_png(path)
                pixels = np.asarray(imagecodecs.png_decode(content)) if deep else _pillow_pixels(picture)
    return _finite(_grey(pixels, path), path)


def _read_page(path: Path, page: int, sha256: str | None) -> NDArray[Any]:
    with _faults_named(path):
        if not _is_tiff(path):
            raise ImageError("not_an_image", f"{path.name} is no TIFF, so it has no page {page}")
        with tifffile.TiffFile(path) as tiff:
            grey = _finite(_grey(_page_pixels(tiff, page, path), path), path)
    if sha256 is not None and pixels_digest(grey) != sha256:
        raise ImageError("changed_since_import", f"page {page} of {path.name} is no longer what was catalogued")
    return grey


def pixels_digest(pixels: NDArray[Any]) -> str:
    """SHA-256 of the pixels of a stack's page, and of their size and type.

    Not of the file's bytes: a stack grows while a plate is imaged, and what is in it stays what it is.
    """
    digest = hashlib.sha256(f"{pixels.shape} {pixels.dtype.name} ".encode())
    digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


def picture_digest(path: str | Path, page: int | None = None) -> tuple[str, int]:
    """SHA-256 and number of the bytes of a file, or of the pixels of one of its pages.

    Raises
    ------
    OSError
        If the file cannot be read.
    ImageError
        If the page cannot be.
    """
    if page is not None:
        pixels = read_image(path, page)
        return pixels_digest(pixels), pixels.nbytes
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()


def _page_pixels(tiff: Any, number: int, path: Path) -> NDArray[Any]:
    """Pixels of one page; the others are not read."""
    if is_virtual(tiff):
        first = _checked(tiff.pages[0], path)
        start, n = first.dataoffsets[0], first.imagewidth * first.imagelength
        offset = start + number * n * first.dtype.itemsize
        if offset + n * first.dtype.itemsize > tiff.filehandle.size:
            raise ImageError("unreadable", f"{path.name} is cut short before page {number}; copy it again")
        tiff.filehandle.seek(offset)
        flat = np.asarray(tiff.filehandle.read_array(np.dtype(tiff.byteorder + first.dtype.char), n))
        return _upright(flat.reshape(first.shape), first)
    if number >= len(tiff.pages):
        raise ImageError("unreadable", f"{path.name} has {len(tiff.pages)} pages, not page {number}; copy it again")
    page = tiff.pages[number]
    page = page.aspage() if isinstance(page, tifffile.TiffFrame) else page
    _whole(_checked(page, path), tiff, path)
    return _decoded(page, path)


def _finite(grey: NDArray[Any], path: Path) -> NDArray[Any]:
    if grey.dtype.kind == "f" and not np.isfinite(grey).all():
        bad = int(grey.size - np.isfinite(grey).sum())
        raise ImageError("not_finite", f"{path.name} holds {bad} pixels that are not finite numbers; export it again")
    return grey


def read_header(path: str | Path) -> Header:
    """Read size and type of a picture without decoding its pixels.

    Returns
    -------
    Header
        (width, height, dtype, format), as `read_image` would return them.

    Raises
    ------
    ImageError
        As `read_image`, but for faults that only the pixels show.
    """
    path = Path(path)
    with _faults_named(path):
        if _is_tiff(path):
            with tifffile.TiffFile(path) as tiff:
                page = _tiff_page(tiff, path)
                return Header(page.imagewidth, page.imagelength, _kind(page.dtype, path), "tiff")
        with Image.open(path, formats=("PNG", "JPEG")) as picture:
            return _pillow_header(picture, path)


@contextmanager
def _faults_named(path: Path) -> Iterator[None]:
    """Turn whatever a decoder throws at a bad file into one `ImageError`."""
    try:
        yield
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError("missing", f"{path.name} is no longer there") from None
    except PermissionError:
        raise ImageError("no_permission", f"{path.name} may not be read; give this user access") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(
            "too_large", f"{path.name} has more than {MAX_PIXELS:,} pixels; export single fields"
        ) from None
    except MemoryError:
        raise ImageError("unreadable", f"{path.name} asks for more memory than there is") from None
    except Exception as error:  # decoders raise what they like; each means that this one file cannot be used
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise ImageError("io_error", f"{path.name}: {os.strerror(error.errno or 0)}") from error
        text = " ".join(str(error).split()).replace(str(path), path.name)
        raise ImageError("unreadable", f"{path.name}: {text[:200] or type(error).__name__}") from error


def _is_tiff(path: Path) -> bool:
    with suppress(OSError):  # which opening names
        mode = path.stat().st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode):  # opening one may wait for ever
            raise ImageError("not_a_file", f"{path.name} is a pipe or a device; remove it")
    with path.open("rb") as file:
        head = file.read(8)
    if not head:
        raise ImageError("empty_file", f"{path.name} has no bytes; copy it again")
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return True
    if head != _PNG and head[:3] != b"\xff\xd8\xff":
        raise ImageError("not_an_image", f"{path.name} is neither TIFF, PNG nor JPEG by its content")
    return False


def _tiff_page(tiff: Any, path: Path) -> Any:
    """The page that is the picture; checked, but not decoded."""
    page = tiff.pages[0]
    _check_size(page.imagewidth, page.imagelength, path)
    _check_one_picture(tiff, path)
    _whole(_checked(page, path), tiff, path)
    return page


def _checked(page: Any, path: Path) -> Any:
    """`page`, if its head can be that of a picture."""
    _check_size(page.imagewidth, page.imagelength, path)
    if page.imagedepth != 1 or page.samplesperpixel not in (1, 2, 3, 4):
        raise ImageError("unsupported_type", f"{path.name} has {page.samplesperpixel} samples a pixel, expected 1 to 4")
    _kind(page.dtype, path)
    return page


def _whole(page: Any, tiff: Any, path: Path) -> None:
    """Refuse a page whose pixels lie beyond the end of the file."""
    size = tiff.filehandle.size
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if not ends or max(ends) > size or min(page.databytecounts) == 0:
        raise ImageError(
            "unreadable", f"{path.name} is cut short: {size} bytes of {max(ends, default=0)}; copy it again"
        )


def _check_one_picture(tiff: Any, path: Path) -> None:
    """Further pages must be smaller levels of the same picture."""
    first, sizes = tiff.pages[0], [(tiff.pages[0].imagewidth, tiff.pages[0].imagelength)]
    for page in tiff.pages[1:]:
        width, height = page.imagewidth, page.imagelength
        level = page.is_reduced or (width < sizes[-1][0] and height < sizes[-1][1])
        if not level or abs(width * first.imagelength - height * first.imagewidth) > 2 * max(sizes[0]):
            raise ImageError(
                "multi_page",
                f"{path.name} holds {len(tiff.pages)} pages that are no pyramid; export one picture a file",
            )
        sizes.append((width, height))


def _tiff_pixels(tiff: Any, path: Path) -> NDArray[Any]:
    return _decoded(_tiff_page(tiff, path), path)


def _decoded(page: Any, path: Path) -> NDArray[Any]:
    pixels: NDArray[Any] = page.asarray()
    if pixels.size != page.imagewidth * page.imagelength * page.samplesperpixel:
        raise ImageError("unreadable", f"{path.name} holds {pixels.size} values, not those of its size; copy it again")
    if page.samplesperpixel > 1 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
        pixels = np.moveaxis(pixels, 0, -1)
    if page.photometric == _PALETTE and page.colormap is not None:
        colours = np.moveaxis(page.colormap, 0, -1)[pixels]  # (h, w, 3) uint16
        return np.asarray((colours >> 8).astype(np.uint8))
    return _upright(pixels, page)


def _upright(pixels: NDArray[Any], page: Any) -> NDArray[Any]:
    """`pixels` with black as 0."""
    if page.photometric == _MINISWHITE and pixels.dtype.kind == "u":
        pixels = np.asarray(np.iinfo(pixels.dtype).max - pixels)
    return pixels


def _pillow_header(picture: Image.Image, path: Path) -> Header:
    _check_size(*picture.size, path)
    if getattr(picture, "n_frames", 1) > 1:
        raise ImageError("multi_page", f"{path.name} is an animation; export one picture a file")
    if picture.mode not in _PILLOW_DTYPES:
        raise ImageError("unsupported_type", f"{path.name} has pixel mode {picture.mode}, expected 8- or 16-bit grey")
    dtype = "uint16" if _is_deep_png(path) else _PILLOW_DTYPES[picture.mode]
    return Header(*picture.size, dtype, str(picture.format).lower())


def _is_deep_png(path: Path) -> bool:
    """Whether a PNG has 16 bits a sample in several channels, of which Pillow keeps the upper 8."""
    with path.open("rb") as file:
        head = file.read(26)
    return head[:8] == _PNG and head[12:16] == b"IHDR" and head[24] == 16 and head[25] != 0


def _pillow_pixels(picture: Image.Image) -> NDArray[Any]:
    if picture.mode == "P":
        return np.asarray(picture.convert("RGBA" if "transparency" in picture.info else "RGB"))
    return np.asarray(picture)


def _check_size(width: int, height: int, path: Path) -> None:
    if width < 1 or height < 1:
        raise ImageError("unreadable", f"{path.name} says it is {width} x {height} pixels; copy it again")
    if width * height > MAX_PIXELS:
        raise ImageError(
            "too_large", f"{path.name} is {width} x {height} pixels, more than {MAX_PIXELS:,}; export single fields"
        )


def _kind(dtype: Any, path: Path) -> str:
    """The dtype that `read_image` returns for a file's `dtype`."""
    name = "none" if dtype is None else np.dtype(dtype).name
    name = {"float16": "float32", "float64": "float32"}.get(name, name)
    if name not in _KINDS:
        raise ImageError("unsupported_type", f"{path.name} has pixels of type {name}, expected {', '.join(_KINDS)}")
    return name


def _grey(pixels: NDArray[Any], path: Path) -> NDArray[Any]:
    """One grey channel out of (h, w) or (h, w, samples)."""
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4):
        alpha = pixels[..., -1]
        if alpha.min() != alpha.max():
            raise ImageError("display_only", f"{path.name} is partly transparent; export 'As Stored'")
        pixels = pixels[..., :-1]
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        differ = np.any(pixels != pixels[..., :1], axis=2)
        if differ.any():
            raise ImageError(
                "display_only",
                f"{path.name} is a coloured picture ({differ.mean():.1%} of its pixels are not grey): "
                "an 'As Displayed' export; export 'As Stored'",
            )
    if pixels.ndim == 3:
        pixels = pixels[..., 0]
    return np.ascontiguousarray(pixels, dtype=_kind(pixels.dtype, path))
