"""The logit lens: hidden states times the few rows of the output matrix that an answer's words need.

Shapes: `N` image tokens, `K` words of the prompt, `T` of the answer, `C` classes, `V` vocabulary, `D` width.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from pixfound.errors import UserError
from pixfound.models.attention.hidden_states import HiddenStates
from pixfound.types.lens import Lens
from pixfound.types.token_spans import Span, token_spans, tokens_of

_ROUNDING = 1e-6  # of a logit that is computed twice
_AT_ONCE = 2**24  # logits (64 MB in fp32) computed at a time for the log-sum-exp


class OutputMatrix:
    """The logits of a model, computed in fp32 for chosen tokens of the vocabulary.

    Some decoders scale or cap the products with their output matrix. Their configs have the numbers, also where the
    model that holds the decoder leaves them out (Aya Vision), so the rule is the one that fits logits of the model.
    products, logits: (X, V) of the same positions.
    UserError where the logits are none of these.
    """

    def __init__(self, model: Any, products: Tensor, logits: Tensor) -> None:
        head, text = model.get_output_embeddings(), model.config.get_text_config(decoder=True)
        self._weight, self._bias = head.weight, getattr(head, "bias", None)  # (V, D), (V)
        factors = [1.0, getattr(text, "logit_scale", None), 1 / (getattr(text, "logits_scaling", None) or 1)]
        caps = [None, getattr(text, "final_logit_softcapping", None)]
        rules = [(factor, cap) for factor in factors if factor for cap in caps]
        off = [float((_ruled(products, *rule) - logits.to(products.device)).abs().max()) for rule in rules]
        self._rule = rules[off.index(min(off))]
        if min(off) > 0.02 * (1 + float(logits.abs().max())):
            raise UserError(
                f"model.path={model.name_or_path}: {type(model).__name__} makes its logits by a rule that is not "
                "known; use model.lens=null"
            )

    def logits(self, states: Tensor, ids: Tensor | slice) -> Tensor:
        """(X, C) logits of the tokens `ids` for normed states (X, D)."""
        weight = self._weight[ids]
        states = states.to(weight.device)
        if weight.is_cuda and weight.dtype in (torch.float16, torch.bfloat16) and not torch.version.hip:
            products = torch.mm(states.to(weight.dtype), weight.T, out_dtype=torch.float32)
        else:
            products = states.float() @ weight.float().T
        if self._bias is not None:
            products = products + self._bias[ids].float()
        return _ruled(products, *self._rule)

    def normalisers(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """(X) log-sum-exp over the vocabulary, in chunks of it, and (X) the id of the highest logit."""
        step = max(1, _AT_ONCE // max(1, len(states)))
        total, best, argmax = None, None, None
        for start in range(0, len(self._weight), step):
            logits = self.logits(states, slice(start, start + step))
            sums, (high, where) = logits.logsumexp(dim=1), logits.max(dim=1)
            if total is None or best is None or argmax is None:
                total, best, argmax = sums, high, where
            else:
                argmax = torch.where(high > best, where + start, argmax)
                total, best = torch.logaddexp(total, sums), torch.maximum(best, high)
        assert total is not None and argmax is not None
        return total, argmax

    def largest(self, states: Tensor, count: int) -> Tensor:
        """(X, count) the largest logits, in descending order; all of a smaller vocabulary."""
        step = max(1, _AT_ONCE // max(1, len(states)))
        best = self.logits(states, slice(0, 0))
        for start in range(0, len(self._weight), step):
            logits = torch.cat([best, self.logits(states, slice(start, start + step))], dim=1)
            best = logits.topk(min(count, logits.shape[1]), dim=1).values
        return best


def _ruled(products: Tensor, factor: float, cap: float | None) -> Tensor:
    """Logits from the products of states and output matrix."""
    products = products * factor
    return products if cap is None else torch.tanh(products / cap) * cap


class LensReader:
    """Reads the `Lens` of each answer of a batch from the hidden states; an image that prompts share is read once.

    top: the number of tokens that count at each image token, the most probable ones; None for all.
    """

    def __init__(self, states: HiddenStates, tokenizer: Any, image_token: int, top: int | None = None) -> None:
        self._states, self._tokenizer, self._image_token, self._top = states, tokenizer, image_token, top
        assert states.products is not None and states.logits is not None
        self._matrix = OutputMatrix(states.model, states.products, states.logits)
        self._known: dict[Hashable, tuple[Tensor, Tensor | None]] = {}

    def read(self, row: int, prompt_ids: Tensor, text: str, answer: Sequence[int]) -> Lens:
        """The lens of an answer.

        prompt_ids: (P) of the prompt, without padding. text: the prompt as it was asked. answer: T token ids.
        """
        layers, ids = self._states.layers, prompt_ids.tolist()
        image = torch.tensor([i for i, token in enumerate(ids) if token == self._image_token])
        words, prompt_text, spans = prompt_words(ids, self._image_token, text, self._tokenizer)
        positions = torch.tensor([*words, len(ids) - 1])
        with torch.inference_mode():
            own = self._states.at(layers[-1], row, positions)
            states = torch.cat([own, self._states.answer(row, len(answer) - 1)])  # (K + T, D)
            first = int(self._matrix.normalisers(states[:1])[1])
            used = {*(ids[word] for word in words), *answer, first, ids[-1]}
            classes = tuple(sorted(used))
            index = torch.tensor(classes, device=self._matrix._weight.device)
            at_image = [self._states.at(layer, row, image) for layer in layers]
            logits = torch.stack([self._matrix.logits(each, index).T for each in at_image])
            text_logits = self._matrix.logits(states, index)
            normalisers, floors = self._normalisers(row, at_image)
        return Lens(
            layers=tuple(layers),
            classes=classes,
            logits=logits.cpu().numpy(),
            normalisers=normalisers.cpu().numpy(),
            text=text_logits.cpu().numpy(),
            prompt=tuple(ids[word] for word in words),
            answer=tuple(answer),
            first=first,
            last=ids[-1],
            prompt_text=prompt_text,
            prompt_spans=spans,
            floors=None if floors is None else floors.cpu().numpy(),
        )

    def _normalisers(self, row: int, at_image: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
        """(L, N) log-sum-exp over the tokens that count at each image token, and the least logit of these, if not all.

        at_image: L times the states (N, D) of the image tokens. The least logit is lowered by its rounding error.
        """
        key = self._states.group(row)
        if key not in self._known and self._top is None:
            self._known[key] = torch.stack([self._matrix.normalisers(each)[0] for each in at_image]), None
        elif key not in self._known and self._top is not None:
            best = torch.stack([self._matrix.largest(each, self._top) for each in at_image])  # (L, N, top)
            least = best[..., -1]
            self._known[key] = best.logsumexp(dim=-1), least - _ROUNDING * (1 + least.abs())
        return self._known[key]


def prompt_words(
    ids: Sequence[int], image_token: int, text: str, tokenizer: Any
) -> tuple[list[int], str, tuple[Span, ...]]:
    """Indices of the tokens that write `text` in a prompt, what they write, and their spans in it.

    Where the tokenizer writes it otherwise, it is all text after the image.
    """
    places = [i for i, token in enumerate(ids) if token != image_token]
    written, spans = token_spans(
        [ids[i] for i in places], lambda part: str(tokenizer.decode(part, skip_special_tokens=True))
    )
    start = written.rfind(text)
    if start < 0:
        last_image = max((i for i, token in enumerate(ids) if token == image_token), default=-1)
        behind = [span for place, span in zip(places, spans, strict=True) if place > last_image and span[1] > span[0]]
        start, text = behind[0][0] if behind else len(written), written[behind[0][0] :] if behind else ""
    tokens = tokens_of((start, start + len(text)), spans)
    inside = tuple((max(0, spans[t][0] - start), min(len(text), spans[t][1] - start)) for t in tokens)
    return [places[t] for t in tokens], text, inside
