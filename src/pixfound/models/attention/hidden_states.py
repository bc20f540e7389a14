"""Hidden states of chosen decoder layers during generation, kept on their device until the answers are known.

Shapes: `B` rows, `U` shared prefixes, `P` tokens of a padded prefix, `S` of a pass, `T` of an answer, `D` width.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pixfound.errors import UserError
from pixfound.models.attention.recorder import running_all_tokens

if TYPE_CHECKING:
    from pixfound.models.attention.prefix_sharing import Prompts


class HiddenStates:
    """Collector of the outputs of decoder layers: of the prompt for all `layers`, of the answer for the last one.

    layers: indices, ascending; -1 for the embeddings. The last layer of the decoder must be the last of them; its
    states are those after the final norm, as the output matrix reads them. The others are normed when they are read
    (`at`), unless `norm` is False.
    """

    def __init__(self, model: Any, layers: Sequence[int], norm: bool = True) -> None:
        self.model, self.layers, self.norm = model, list(layers), norm
        self._prefix: dict[int, Tensor] = {}  # layer -> (U, P, D)
        self._prompt: dict[int, Tensor] = {}  # layer -> (B, S, D)
        self._answers: dict[int, list[Tensor]] = defaultdict(list)  # row -> parts of (T - 1, D)
        self._passes: list[dict[int, Tensor]] = []
        self._prompts: Prompts | None = None
        self.products: Tensor | None = None  # (X, V) products of the output matrix, and the logits made of them
        self.logits: Tensor | None = None

    @contextmanager
    def active(self) -> Iterator[HiddenStates]:
        """Collect every forward pass inside the `with` block."""
        decoder, last = self.model.get_decoder(), self.layers[-1]
        with ExitStack() as stack:
            stack.enter_context(running_all_tokens())
            if self.layers[0] < 0:
                note = decoder.layers[0].register_forward_pre_hook(self._note_embeddings, with_kwargs=True)
                stack.callback(note.remove)
            for layer in self.layers[self.layers[0] < 0 : -1]:
                stack.callback(decoder.layers[layer].register_forward_hook(partial(self._note, layer)).remove)
            stack.callback(decoder.register_forward_hook(partial(self._note, last)).remove)
            if self.logits is None:
                stack.callback(self.model.get_output_embeddings().register_forward_hook(self._note_products).remove)
                stack.callback(self.model.register_forward_hook(self._note_logits).remove)
            yield self

    def _note_products(self, module: Any, given: Any, output: Tensor) -> None:
        if self.logits is None:
            self.products = output[:1, -1].float()

    def _note_logits(self, module: Any, given: Any, output: Any) -> None:
        if self.logits is None:
            self.logits = output.logits[:1, -1].float()

    def _note_embeddings(self, module: Any, given: Any, keywords: Any) -> None:
        self._note(-1, module, None, given[0] if given else keywords["hidden_states"])

    def _note(self, layer: int, module: Any, given: Any, output: Any) -> None:
        states = output if isinstance(output, Tensor) else output[0]
        if not self._passes or self.layers[-1] in self._passes[-1]:
            self._passes.append({})
        if layer == self.layers[-1] or states.shape[1] > 1:  # one token at a time is the answer
            self._passes[-1][layer] = states.detach()

    def end_prefix(self, prompts: Prompts) -> None:
        """Take the passes so far as that of the prefixes that `prompts` share; none where nothing is shared."""
        self._prompts = prompts
        if prompts.groups:
            (self._prefix,) = self._passes
        self._passes = []

    def end_round(self, rows: Sequence[int], tokens: int) -> None:
        """Take the passes of a round of generation.

        rows: indices of the answers in the batch. tokens: number of tokens that were read, the prompt as one.
        UserError where the decoder ran another number of times.
        """
        passes, self._passes = self._passes, []
        if sum(step[self.layers[-1]].shape[1] for step in passes[1:]) + len(passes[:1]) != tokens:
            raise UserError(
                f"model.path={self.model.name_or_path}: {type(self.model.get_decoder()).__name__} runs several times "
                "for each token, so its hidden states cannot be captured; use model.lens=null"
            )
        if not self._prompt:
            self._prompt = passes.pop(0)
        for place, row in enumerate(rows):
            self._answers[row] += [step[self.layers[-1]][place] for step in passes]

    def at(self, layer: int, row: int, tokens: Tensor) -> Tensor:
        """(X, D) states of a layer at tokens of a prompt, given by index (X) without padding."""
        assert self._prompts is not None
        places = self._prompts.inputs["attention_mask"][row].nonzero()[:, 0][tokens.to(self._prompts.columns.device)]
        own, cached = self._prompt[layer][row], self._prompts.cached
        if self._prompts.groups:
            before = self._prefix[layer][self._prompts.groups[row]]
            shared = places < cached
            states = own.new_empty(len(places), own.shape[1])
            states[shared], states[~shared] = before[places[shared]], own[places[~shared] - cached]
        else:
            states = own[places]
        return states if layer == self.layers[-1] or not self.norm else final_norm(self.model)(states)

    def answer(self, row: int, count: int) -> Tensor:
        """(count, D) normed states of the last layer at the first tokens of an answer."""
        own = self._prompt[self.layers[-1]][row]
        return torch.cat([own[:0], *self._answers[row]])[:count]

    def group(self, row: int) -> tuple[str, int]:
        """A key that rows share whose images and states of the image are the same."""
        assert self._prompts is not None
        return ("shared", self._prompts.groups[row]) if self._prompts.groups else ("own", row)


def final_norm(model: Any) -> Any:
    """The norm after a decoder's last layer; UserError where it has none by a known name."""
    decoder = model.get_decoder()
    for name in ("norm", "embedding_norm", "final_layernorm", "ln_f"):
        if (norm := getattr(decoder, name, None)) is not None:
            return norm
    raise UserError(
        f"model.path={model.name_or_path}: the final norm of {type(decoder).__name__} is not found; use model.lens=last"
    )
