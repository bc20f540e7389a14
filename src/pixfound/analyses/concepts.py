"""Concepts of noun phrases, out of the six of arXiv 2502.04192: by rules, or by asking a judge."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pixfound.analyses import concept_words as words
from pixfound.analyses.wording import singular
from pixfound.interfaces import Judge, JudgeError, Load
from pixfound.io.terminal import say
from pixfound.judges.asking import shortened, side_by_side, unreadable
from pixfound.types import Phrase
from pixfound.types.option_letters import index_of, letter

Concept = Literal["appearance", "location", "part", "context", "object", "state"]
CONCEPTS: tuple[Concept, ...] = ("appearance", "location", "part", "context", "object", "state")
TITLES: Mapping[Concept, str] = {
    "appearance": "colour and appearance",
    "location": "location and position",
    "part": "object part",
    "context": "context or setting",
    "object": "objects/entities",
    "state": "state",
}
SYSTEM = "You name the main concept that a noun phrase is about, carefully and briefly."
QUESTION = (
    "Which of these six concepts is a noun phrase about? (a) Color and appearance, (b) Location and position, "
    "(c) Object part, (d) Context or setting, (e) Objects/entities, (f) State. Answer with one letter, or with two "
    "separated by a comma, and nothing else. The noun phrase is '{phrase}'. It comes from this text: '{text}'"
)
_CUE = re.compile(r"^\W*(?:the )?answer(?: is)?\b\W*", re.IGNORECASE)
_TAGS = re.compile(r"<think>.*?(?:</think>|\Z)|<\|[^|<>]*\|>|</?\w+>|\*\*|`", re.DOTALL)
_NAMES = ("colou?r|appearance", "location|position", "object part|part", "context|setting", "objects?|entit", "state")
_OF = re.compile(r"\s+of\b", re.IGNORECASE)
_OWNED = re.compile(r"^(?:its|his|her|their)\b|\w['\u2019]s?\s", re.IGNORECASE)
_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*")


def concepts_by_rules(phrase: Phrase, text: str) -> tuple[Concept, ...]:
    """The concepts of a phrase in an answer by lists of words, one or more, in the order of CONCEPTS.

    The main word decides whether the phrase names a place, a part, a setting, a state or a look; one that no list
    knows is an object. Attributes add appearance ("the red car"), location ("the left wing") and state ("an open
    door"). Some words are parts only where they belong to something ("its door", "the wheel of the car").

    What it cannot do: it knows English only and each word in one sense (an orange is a colour unless it is the main
    word), sees no image, and reads no further than the phrase and what it is "of". An unknown part or setting counts
    as an object, and a state expressed by a verb ("the door is open") is not seen: so the five other concepts are found
    too rarely rather than too often. For figures to compare with the paper's, ask a judge.
    """
    head = singular(phrase.head.lower())
    words_of_phrase = [singular(word) for word in _WORD.findall(re.sub(r"['\u2019]s?\b", " ", phrase.text.lower()))]
    attributes = words_of_phrase[:-1] if words_of_phrase and words_of_phrase[-1] == head else words_of_phrase
    owned = bool(_OWNED.search(phrase.text)) or bool(_OF.match(text, phrase.span[1]))
    concepts = {_main_concept(head, owned)}
    if any(word in words.COLOURS | words.LOOKS for word in attributes) and head not in words.SETTINGS:
        concepts.add("appearance")
    if any(word in words.PLACE_WORDS for word in attributes):
        concepts.add("location")
    if any(word in words.STATES for word in attributes):
        concepts.add("state")
    return tuple(concept for concept in CONCEPTS if concept in concepts)


def _main_concept(head: str, owned: bool) -> Concept:
    """The concept of a phrase's main word; `object` for a word that no list holds.

    owned: True if it is said to belong to something.
    """
    lists: tuple[tuple[Concept, frozenset[str]], ...] = (
        ("object", words.PRONOUNS),
        ("part", words.PARTS | words.PARTS_OF_SOMETHING if owned else words.PARTS),
        ("location", words.PLACE_HEADS),
        ("context", words.SETTINGS),
        ("appearance", words.LOOK_HEADS),
        ("state", words.STATE_HEADS | words.STATES),
    )
    return next((concept for concept, heads in lists if head in heads), "object")


def read_concepts(reply: str) -> tuple[Concept, ...] | None:
    """The concepts that a judge's reply names, in the order of CONCEPTS; None where it cannot be read.

    Reads `a, c`, `(a), (c)`, `A and C`, `(c) Object part`, `c. Object part` and the concepts' names. A reply that says
    anything else as well, or a letter beyond f, is not read.

    >>> read_concepts("(a), (e)"), read_concepts("g")
    (('appearance', 'object'), None)
    """
    plain = _CUE.sub("", _TAGS.sub(" ", reply).strip())
    pieces = [piece for part in re.split(r"[,;\n&+]|\band\b", plain) if (piece := part.strip(" .\t\r"))]
    indices = [index for piece in pieces for index in _letters(piece)]
    if not indices or None in indices:
        return None
    return tuple(concept for index, concept in enumerate(CONCEPTS) if index in indices)


def _letters(piece: str) -> Sequence[int | None]:
    """The concepts of one piece of a reply as indices; None for what is none."""
    bare = re.sub(r"[^a-z\s]", " ", piece.lower()).strip()
    letters = bare.split()
    if letters and all(len(character) == 1 for character in letters):
        return [index_of(character, len(CONCEPTS)) for character in letters]
    for index, names in enumerate(_NAMES):
        if re.match(rf"(?:{letter(index).lower()}\s+)?(?:{names})", bare) and len(letters) <= 4:
            return [index]
    return [None]


@dataclass(frozen=True)
class ConceptLabel:
    """The result of asking about one phrase. concepts: None where there are none; then `why` gives the reason.

    failed: True if no reply came, or none that can be read; another run asks again.
    """

    concepts: tuple[Concept, ...] | None
    why: str = ""
    failed: bool = False


class Questions:
    """Asks a judge about phrases, and stops once it has failed `give_up` times in a row, as it is then down.

    system, question: what it is asked, with the fields {phrase} and {text}.
    """

    def __init__(self, judge: Judge, system: str = SYSTEM, question: str = QUESTION, give_up: int = 5) -> None:
        self.judge, self.system, self.question, self.give_up = judge, system, question, give_up
        self._failures = 0

    def ask_all(self, phrases: Sequence[tuple[str, str]]) -> list[ConceptLabel]:
        """Ask the judge about each (phrase, text); the results in the order of `phrases`.

        As many requests run at a time as the judge takes. The cost that they may have is printed on stderr beforehand.
        Raises UserError where that is over the judge's limit.
        """
        fixed = len(self.system) + len(self.question)
        characters = sum(fixed + len(phrase) + len(text) for phrase, text in phrases)
        if phrases and (cost := self.judge.plan(Load(len(phrases), characters))):
            say(f"judge, concepts: {cost}", stderr=True)
        labels = side_by_side(lambda pair: self.ask(*pair), phrases, self.judge.concurrency)
        return [
            label if isinstance(label, ConceptLabel) else ConceptLabel(None, str(label), failed=True)
            for label in labels
        ]

    def ask(self, phrase: str, text: str) -> ConceptLabel:
        """Ask the judge about one phrase. Neither a concept nor a reply is ever guessed."""
        if self._failures >= self.give_up:
            return ConceptLabel(None, f"not asked: the judge failed {self.give_up} times in a row", failed=True)
        question = self.question.format(phrase=phrase, text=text)
        try:
            reply = self.judge.ask(self.system, question)
        except JudgeError as error:
            self._failures += 1
            return ConceptLabel(None, f"no reply: {error}", failed=True)
        self._failures = 0
        concepts = read_concepts(reply)
        if concepts is None:
            why = f"the reply could not be read: {shortened(reply)}"
            return ConceptLabel(None, str(unreadable(self.judge, self.system, question, (), why)), failed=True)
        return ConceptLabel(concepts)
