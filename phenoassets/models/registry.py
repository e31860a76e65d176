"""Where models lie, and how they are found, loaded, added and written.

In goes a name or a folder; out comes a loaded model. A home's own models come before those that are shipped. Weights
are read from safetensors after their digest has been checked; a checkpoint that is added is unpickled with
``weights_only`` and stored as safetensors. The networks are their families' own.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phenoassets.errors import ModelError
from phenoassets.models.card import (
    CARD_FILE,
    NAME_PATTERN,
    WEIGHTS_FILE,
    Card,
    Pooling,
    Precision,
    read_card,
    sha256_of,
)
from phenoassets.models.transform import Transform

if TYPE_CHECKING:
    import torch

    from phenoassets.models.base import Model

SHIPPED = Path(__file__).parent / "weights"

BASELINES: Mapping[str, str] = {
    "convae": "a baseline, as published: its flattened code hardly tells treated wells from controls",
    "pixel_pca": "a baseline without any network, which hardly tells treated wells from controls",
}
"""Shipped models that stand beside the others for comparison; answers are drawn from the primary model."""


@dataclass(frozen=True)
class ListedModel:
    """One model that can be named: its folder, its card, or why it cannot be used."""

    name: str
    folder: Path
    shipped: bool
    card: Card | None
    problem: str | None


def find_model(name_or_folder: str | Path, *, root: Path | None = None) -> Path:
    """Folder of a model.

    Parameters
    ----------
    name_or_folder
        A name (letters, digits, _), looked for in `root` and then among the shipped models; or a folder.
    root
        The home's ``models`` folder.

    Raises
    ------
    ModelError
        If there is no such model.
    """
    if isinstance(name_or_folder, str) and re.fullmatch(NAME_PATTERN, name_or_folder):
        for place in (root, SHIPPED):
            if place is not None and (place / name_or_folder).is_dir():
                return place / name_or_folder
        known = ", ".join(sorted(model.name for model in list_models(root))) or "none"
        raise ModelError(f"there is no model {name_or_folder}; known are {known}; see `phenoassets models add`")
    folder = Path(name_or_folder)
    if not folder.is_dir():
        raise ModelError(f"{folder} is not a model: there is no such folder")
    return folder


def load_card(name_or_folder: str | Path, *, root: Path | None = None) -> Card:
    """Read a model's card, without its weights."""
    return read_card(find_model(name_or_folder, root=root))


def load_model(
    name_or_folder: str | Path,
    *,
    root: Path | None = None,
    device: str | torch.device = "cpu",
    precision: Precision = "float32",
) -> Model:
    """Load a model.

    Parameters
    ----------
    name_or_folder, root
        As `find_model` takes them.
    device
        ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    precision
        Arithmetic of the network: ``float32``, ``bf16`` or ``float16``; part of the digest.

    Raises
    ------
    ModelError
        If the folder is no model, its weights are not those its card names, or the device is not there.
    """
    from safetensors.torch import load_file

    from phenoassets.models.convae import ConvAEModel, load_convae
    from phenoassets.models.pixel_pca import PixelPCAModel

    folder = find_model(name_or_folder, root=root)
    card = read_card(folder)
    file = _checked_weights(folder, card)
    _check_device(device)
    state = load_file(file)
    if card.family == "pixel_pca":
        return PixelPCAModel(card, state, device, precision)
    return ConvAEModel(card, load_convae(state, str(file)), device, precision)


def list_models(root: Path | None = None) -> list[ListedModel]:
    """All models that can be named, by name; one that cannot be used is listed with its problem."""
    found: dict[str, ListedModel] = {}
    for place in (SHIPPED, root):
        if place is None or not place.is_dir():
            continue
        for folder in sorted(place.iterdir()):
            if not folder.is_dir() or not re.fullmatch(NAME_PATTERN, folder.name):
                continue
            card, problem = None, None
            try:
                card = read_card(folder)
                _checked_weights(folder, card)
            except ModelError as error:
                problem = str(error)
            found[folder.name] = ListedModel(folder.name, folder, place == SHIPPED, card, problem)
    return [found[name] for name in sorted(found)]


def add_model(
    source: Path,
    name: str,
    root: Path,
    *,
    layer: int = 8,
    pooling: Pooling = "flatten",
    transform: Transform | None = None,
    description: str = "",
    replace: bool = False,
) -> Path:
    """Take a ConvAE checkpoint into a home's models.

    Parameters
    ----------
    source
        A state dict with the keys of the published ConvAE: ``.torch``, ``.pt``, ``.pth`` (unpickled with
        ``weights_only``) or ``.safetensors``.
    name
        Name of the new model.
    root
        The home's ``models`` folder.
    layer, pooling, transform, description
        What the card says; by default as published (latent, flattened; 256 px crop to 128 px, antialiased, which is
        what the published network was trained on).
    replace
        Whether a model of that name gives way; it does so once the new one is written whole.

    Returns
    -------
    Path
        Folder of the new model.

    Raises
    ------
    ModelError
        If the name cannot be used or is taken, or the file holds no ConvAE.
    """
    from phenoassets.models.convae import LATENT, load_convae, readout_dim

    folder = _folder(name, root) if replace else _new_folder(name, root)
    if not 0 <= layer <= LATENT:
        raise ModelError(f"layer {layer} is none of the encoder's; use 0 to {LATENT}, {LATENT} is the latent")
    source = Path(source)
    network = load_convae(_read_state(source), str(source))
    transform = transform or Transform()
    digest = sha256_of(source)
    fields = {
        "name": name,
        "family": "convae",
        "description": description or f"ConvAE, layer {layer}, {pooling}, from {source.name}",
        "dim": readout_dim(layer, pooling, transform.output_size),
        "layer": layer,
        "pooling": pooling,
        "transform": transform,
        "source": f"{source.name}, sha256 {digest}",
    }
    write_model(folder, fields, network.state_dict(), replace=replace)
    return folder


def write_model(
    folder: Path, fields: Mapping[str, Any], state: Mapping[str, torch.Tensor] | None, *, replace: bool = False
) -> Card:
    """Write a model folder in one step: weights, the card with their digest, then the folder's name.

    Parameters
    ----------
    folder
        Target; its parent is made where missing.
    fields
        Of the `Card`, without ``weights_sha256``.
    state
        Tensors of the weights file; None where ``weights_of`` names the sibling that holds them.
    replace
        Whether an existing folder gives way.

    Raises
    ------
    ModelError
        If the folder exists and `replace` is false, or a name cannot be used.
    """
    from safetensors.torch import save

    if not replace:
        _new_folder(folder.name, folder.parent)
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}")
    work.mkdir()
    try:
        file = work / WEIGHTS_FILE
        if state is None:
            file = folder.parent / fields["weights_of"] / WEIGHTS_FILE
        else:
            # Not save_file, which lets nobody but the owner read, whatever the umask.
            file.write_bytes(save({key: value.detach().cpu().contiguous() for key, value in state.items()}))
        card = Card.model_validate({**fields, "weights_sha256": sha256_of(file)})
        (work / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
        for path in work.iterdir():
            with path.open("rb+") as stream:
                os.fsync(stream.fileno())
        if replace and folder.exists():  # aside first: a kill or a full disk leaves the old model or the new one
            before = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}")
            folder.rename(before)
            try:
                work.rename(folder)
            except OSError:
                before.rename(folder)
                raise
            shutil.rmtree(before, ignore_errors=True)
        else:
            work.rename(folder)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return card


def _folder(name: str, root: Path) -> Path:
    if not re.fullmatch(NAME_PATTERN, name):
        raise ModelError(f"model {name!r} cannot be used as a name: use letters, digits and _, a letter first")
    return Path(root) / name


def _new_folder(name: str, root: Path) -> Path:
    folder = _folder(name, root)
    if folder.exists():
        raise ModelError(f"there is a model {name} in {root} already; choose another name, or replace it by --replace")
    return folder


def _checked_weights(folder: Path, card: Card) -> Path:
    file = (folder if card.weights_of is None else folder.parent / card.weights_of) / WEIGHTS_FILE
    try:
        found = sha256_of(file)
    except OSError as error:
        raise ModelError(f"{folder} is not a model: {file} cannot be read ({error.strerror})") from error
    if found != card.weights_sha256:
        raise ModelError(
            f"{file} has sha256 {found[:12]}…, the card of model {card.name} names {card.weights_sha256[:12]}…; "
            "the weights were changed or belong to another model: add the model again"
        )
    return file


def _read_state(source: Path) -> dict[str, torch.Tensor]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not source.is_file():
        raise ModelError(f"{source} cannot be added: there is no such file")
    try:
        if source.suffix == ".safetensors":
            state: Any = load_file(source)
        else:
            state = torch.load(source, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise ModelError(f"{source} is no safetensors file: {error}") from error
    except Exception as error:
        # torch.load answers a bad file with almost any exception.
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"{source} cannot be read as plain weights ({first}); save a state dict with torch.save or safetensors"
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in state.items()
    ):
        raise ModelError(f"{source} holds no state dict; save model.state_dict() with torch.save or safetensors")
    return state


def _check_device(device: str | torch.device) -> None:
    import torch

    try:
        kind = torch.device(device)
    except RuntimeError as error:
        raise ModelError(f"device {device!r} is unknown; use cpu, cuda or mps") from error
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (kind.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(kind.type, False):
        raise ModelError(f"device {device} is not there; use cpu, or look what `phenoassets doctor` finds")
