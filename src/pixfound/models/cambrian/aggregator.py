"""The Spatial Vision Aggregator of Cambrian-1 (arXiv 2406.16860, section 4): cross-attention to four feature grids.

A query stands for a cell of the image's token grid. It attends to the window of each tower's features over its cell.

Shapes: `B` images, `M` queries of all images, `K` features of a window, `D` the connector's width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixfound.models.geometry.layouts import kept_of_square

_HEADS = 16


@dataclass(frozen=True)
class Windows:
    """Keys and values of M queries. features: (M, K, D) of each tower. visible: (M, sum of K) bool, False for padding.

    A window of padding alone is True throughout, so that no query attends to nothing.
    context: (M, 1, D), the mean of the first tower's features over the whole padded image.
    """

    features: tuple[Tensor, ...]
    visible: Tensor
    context: Tensor

    def of(self, chosen: Tensor) -> Windows:
        """Windows of a subset of the queries. chosen: their indices."""
        return Windows(tuple(f[chosen] for f in self.features), self.visible[chosen], self.context[chosen])


class Sampler(nn.Module):
    """One cross-attention layer. width: of the queries. inner: the connector's. windows: side of each tower's."""

    def __init__(self, width: int, inner: int, windows: Sequence[int]) -> None:
        super().__init__()
        self.proj_context = nn.Linear(inner, inner, bias=False)
        self.proj_in = nn.Linear(width + inner, inner, bias=False)
        self.norm = nn.LayerNorm(inner)
        self.proj_out = nn.Sequential(
            nn.Linear(inner, inner, bias=False), nn.GELU(), nn.Linear(inner, width, bias=False)
        )
        self.q_proj = _normed(inner)
        self.k_proj = nn.ModuleList([_normed(inner) for _ in windows])
        self.v_proj = nn.ModuleList([_normed(inner) for _ in windows])
        self.o_proj = nn.Linear(inner, inner, bias=False)
        self.pos_embed = nn.ParameterDict(
            {str(i): torch.empty(side * side, inner) for i, side in enumerate(windows) if side > 1}
        )

    def forward(self, queries: Tensor, windows: Windows) -> Tensor:
        """Updated queries (M, 1, width). queries: (M, 1, width)."""
        inner = self.proj_in(torch.cat([queries, self.proj_context(windows.context)], dim=-1))
        placed = [f + self.pos_embed[str(i)] if str(i) in self.pos_embed else f for i, f in enumerate(windows.features)]
        keys = torch.cat([project(f) for project, f in zip(self.k_proj, placed, strict=True)], dim=1)
        values = torch.cat([project(f) for project, f in zip(self.v_proj, placed, strict=True)], dim=1)
        query, key, value = _heads(self.q_proj(inner)), _heads(keys), _heads(values)
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=windows.visible[:, None, None])
        inner = self.norm(inner + self.o_proj(attended.transpose(1, 2).flatten(2)))
        out: Tensor = self.proj_out(inner) + queries
        return out


class Connector(nn.Module):
    """The connector from the towers' features to the image tokens.

    widths: width of each tower's features. grids: side of each tower's grid. side: of the token grid. inner: the
    connector's width. depth: number of its layers. language: the language model's width. samplers: number of
    cross-attention layers inside the language model.
    """

    def __init__(
        self,
        widths: Sequence[int],
        grids: Sequence[int],
        side: int,
        inner: int,
        depth: int,
        language: int,
        samplers: int,
    ) -> None:
        super().__init__()
        self.side = side
        windows = [grid // side for grid in grids]
        self.views = nn.ModuleList(
            [
                nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, inner), nn.LayerNorm(inner))
                for width in widths
            ]
        )
        self.vision_query = nn.Parameter(torch.empty(1, inner))
        self.layers = nn.ModuleList([Sampler(inner, inner, windows) for _ in range(depth)])
        self.out = nn.Sequential(nn.Linear(inner, language), nn.GELU(), nn.Linear(language, language))
        self.image_newline = nn.Parameter(torch.empty(language))
        self.samplers = nn.ModuleList([Sampler(language, inner, windows) for _ in range(samplers)])

    def forward(self, features: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> tuple[list[Tensor], Windows]:
        """Tokens (rows * (columns + 1), language) of each image, and the windows of their cells.

        Cells of padding are dropped, and each row ends with a newline token, which has no window.
        features: (B, grid * grid, width) of each tower. sizes: (H, W) of each image.
        """
        windows = self._windows([project(f) for project, f in zip(self.views, features, strict=True)], sizes)
        queries = self.vision_query.expand(len(windows.visible), 1, -1)
        for layer in self.layers:
            queries = layer(queries, windows)
        tokens = self.out(queries[:, 0]).view(len(sizes), self.side, self.side, -1)
        cells = torch.arange(len(windows.visible), device=tokens.device).view(tokens.shape[:3])
        image_tokens, image_cells = [], []
        for i, size in enumerate(sizes):
            top, foot, left, right = kept_of_square(size, self.side)
            grid = tokens[i, top:foot, left:right]
            newline = self.image_newline.expand(len(grid), 1, -1)
            image_tokens.append(torch.cat([grid, newline], dim=1).flatten(0, 1))
            image_cells.append(cells[i, top:foot, left:right].flatten())
        return image_tokens, windows.of(torch.cat(image_cells))

    def _windows(self, features: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> Windows:
        """Windows of all B * side * side cells of the padded squares. features: (B, grid * grid, D) of each tower."""
        cut, masks = [], []
        for feature in features:
            grid = int(feature.shape[1] ** 0.5)
            cut.append(_cells(feature.view(len(feature), grid, grid, -1), self.side))
            visible = feature.new_zeros((len(sizes), grid, grid, 1), dtype=torch.bool)
            for i, size in enumerate(sizes):
                top, foot, left, right = kept_of_square(size, grid)
                visible[i, top:foot, left:right] = True
            window = _cells(visible, self.side)[..., 0]
            masks.append(window | ~window.any(dim=1, keepdim=True))  # a window of padding alone is attended to whole
        context = features[0].mean(dim=1, keepdim=True).repeat_interleave(self.side * self.side, dim=0)
        return Windows(tuple(cut), torch.cat(masks, dim=1), context)


def _cells(grid: Tensor, side: int) -> Tensor:
    """Windows (B * side * side, K, D) of a grid (B, h, h, D), row by row."""
    batch, height, _, width = grid.shape
    window = height // side
    cut = grid.reshape(batch, side, window, side, window, width).transpose(2, 3)
    return cut.reshape(batch * side * side, window * window, width)


def _normed(width: int) -> nn.Module:
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width, bias=False))


def _heads(states: Tensor) -> Tensor:
    return states.view(*states.shape[:2], _HEADS, -1).transpose(1, 2)
