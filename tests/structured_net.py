"""Networks in PyTorch that return more than one array of scores; built from outside by `file.py:callable`."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


class Segmenter(nn.Module):
    """Scores for three classes at each place, and a second head's, in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d(4, 3, 1)
        self.side = nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        y = torch.tanh(self.body(x))
        return {
            "out": F.interpolate(self.head(y), scale_factor=2.0),
            "heads": {"age": self.side(y.mean((2, 3)))},
        }


class Detector(nn.Module):
    """A detector of two boxes, the halves of the picture, and of three classes, the first of them nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.cls_score = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        found = []
        for one in torch.tanh(self.body(x)):
            halves = torch.stack([one[..., :4].mean((1, 2)), one[..., 4:].mean((1, 2))])
            scores, labels = torch.softmax(self.cls_score(halves), 1)[:, 1:].max(1)
            boxes = torch.tensor([[0.0, 0, 4, 8], [4, 0, 8, 8]])
            found.append({"boxes": boxes, "labels": labels + 1, "scores": scores})
        return found
