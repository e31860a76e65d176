"""The published hybrid network: a convolutional branch for a crop, a dense one for what else is known, joined.

In go rows of pixels and numbers, (n, side * side + d); out come probabilities of labels. It has the ``fit`` and
``predict_proba`` of a scikit-learn classifier, so that `folds` trains it like any other. Early stopping looks at rows
of the training fold alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

EPOCHS: Final = 20
PATIENCE: Final = 4
"""Epochs without a lower loss on the rows that are kept for stopping, after which training ends."""

KEPT_SHARE: Final = 0.2
"""Share of the training rows that are kept for stopping."""

RATE: Final = 1e-3
BATCH: Final = 64


class HybridNetwork(nn.Module):
    """Two convolutions with pooling, flattened, beside a dense layer; joined, dense, one number a label."""

    def __init__(self, side: int, n_numbers: int, n_labels: int) -> None:
        super().__init__()
        self.side = side
        self.crop = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.numbers = nn.Sequential(nn.Linear(n_numbers, 32), nn.ReLU()) if n_numbers else None
        joined = 32 * (side // 4) ** 2 + (32 if n_numbers else 0)
        self.head = nn.Sequential(nn.Linear(joined, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, n_labels))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Logits (n, labels) of rows (n, side * side + numbers)."""
        pixels = self.side * self.side
        parts = [self.crop(rows[:, :pixels].reshape(-1, 1, self.side, self.side))]
        if self.numbers is not None:
            parts.append(self.numbers(rows[:, pixels:]))
        return self.head(torch.cat(parts, dim=1))  # type: ignore[no-any-return]


@dataclass
class HybridClassifier:
    """A `HybridNetwork` trained with class weights, a falling learning rate and early stopping.

    Parameters
    ----------
    seed
        Of first weights, shuffling, dropout and the rows that are kept for stopping.
    side
        Side of the crops, px; a multiple of 4.

    Attributes
    ----------
    classes_
        Labels, sorted.
    history_
        Loss of the training rows and of the kept rows, epoch by epoch.
    """

    seed: int
    side: int
    epochs: int = EPOCHS
    classes_: NDArray[Any] = field(default_factory=lambda: np.zeros(0, str))
    history_: list[tuple[float, float]] = field(default_factory=list)

    def fit(self, rows: NDArray[Any], labels: ArrayLike) -> HybridClassifier:
        """Train on rows (n, side * side + d) and their labels (n,)."""
        self.classes_, codes = np.unique(np.asarray(labels), return_inverse=True)
        x = np.asarray(rows, np.float32)
        pixels = self.side**2
        # One scale for all pixels, so that a crop keeps its contrast; each number has its own.
        self._mean = np.concatenate([np.full(pixels, x[:, :pixels].mean()), x[:, pixels:].mean(axis=0)])
        self._scale = np.concatenate([np.full(pixels, x[:, :pixels].std()), x[:, pixels:].std(axis=0)])
        self._scale[self._scale == 0] = 1.0
        order = np.random.default_rng(self.seed).permutation(len(x))
        n_kept = max(1, round(KEPT_SHARE * len(x)))
        kept, trained = order[:n_kept], order[n_kept:]
        weights = len(codes) / (self.classes_.size * np.maximum(np.bincount(codes, minlength=self.classes_.size), 1))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self._train(self._ready(x), torch.from_numpy(codes), trained, kept, torch.tensor(weights).float())
        return self

    def predict_proba(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """Probabilities (n, labels) of rows."""
        self._network.eval()
        with torch.inference_mode():
            ready = torch.split(self._ready(np.asarray(rows, np.float32)), 512)
            parts = [torch.softmax(self._network(part), dim=1) for part in ready]
        return np.asarray(torch.cat(parts).double().numpy(), np.float64)

    def _ready(self, rows: NDArray[np.float32]) -> torch.Tensor:
        return torch.from_numpy(((rows - self._mean) / self._scale).astype(np.float32))

    def _train(
        self,
        x: torch.Tensor,
        codes: torch.Tensor,
        trained: NDArray[np.int64],
        kept: NDArray[np.int64],
        weights: torch.Tensor,
    ) -> None:
        network = HybridNetwork(self.side, x.shape[1] - self.side**2, self.classes_.size)
        loss_of = nn.CrossEntropyLoss(weight=weights)
        optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.5, patience=1)
        best, best_state, waited = float("inf"), network.state_dict(), 0
        self.history_ = []
        for _ in range(self.epochs):
            network.train()
            total = 0.0
            shuffled = torch.from_numpy(trained)[torch.randperm(len(trained))]
            for batch in torch.split(shuffled, BATCH):
                optimiser.zero_grad()
                loss = loss_of(network(x[batch]), codes[batch])
                loss.backward()
                optimiser.step()
                total += loss.item() * len(batch)
            network.eval()
            with torch.inference_mode():
                of_kept = loss_of(network(x[kept]), codes[kept]).item()
            self.history_.append((total / max(len(trained), 1), of_kept))
            plateau.step(of_kept)
            if of_kept < best:
                best, waited = of_kept, 0
                best_state = {name: value.clone() for name, value in network.state_dict().items()}
            elif (waited := waited + 1) >= PATIENCE:
                break
        network.load_state_dict(best_state)
        self._network = network
