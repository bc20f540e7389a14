"""Comparison of a free answer with the accepted ones, by the rules of the benchmarks that ask without options.

    exact     equal text in any case, spacing and full stop (GQA, open benchmarks with one answer)
    vqa       VQA accuracy: for each annotator, a third of the others who agree, at most 1, and the mean of these
              (Antol et al., ICCV 2015; normalisation as in its vqaEval.py, applied to the accepted answers as well)
    anls      1 - edit distance / length of the longer, 0 below 0.5; the best of the accepted answers (Biten et al.,
              ICCV 2019; DocVQA, InfographicVQA, DUDE)
    relaxed   numbers within 5 % of the accepted one, other answers equal in any case (Methani et al., WACV 2020;
              ChartQA)

Each gives a credit in [0, 1]; the official figure of a benchmark is its mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import get_args

from pixfound.errors import UserError
from pixfound.judges.answer_parsing import REASONING
from pixfound.types import Grading

HALF = 0.5  # from this credit on an answer counts as right
_TOLERANCE = 0.05
_DROPPED = re.compile(rf"{REASONING}|<\|[^|<>]*\|>|</?(?:s|answer)>|<(?:bos|eos|pad|end_of_turn)>", re.DOTALL)
_PUNCTUATION = ";:/'[]\"()=+\\_><@`,?"
_NUMBERS = "zero one two three four five six seven eight nine ten"
_DIGITS = {"none": "0", **{word: str(number) for number, word in enumerate(_NUMBERS.split())}}
_ARTICLES = {"a", "an", "the"}
_CONTRACTIONS = (
    "ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd "
    "he'd've he's how'd how'll how's i'd've i'm i've isn't it'd it'd've it'll let's ma'am might've mightn't "
    "mightn't've mustn't must've needn't not've o'clock oughtn't shan't she'd've she's should've shouldn't "
    "shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll someone's something'd "
    "something'd've something'll that's there'd there'd've there're there's they'd they'd've they'll they're "
    "they've 'twas wasn't we'd've we've weren't what'll what're what's what've when's where'd where's where've "
    "who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't wouldn't've y'all y'all'll "
    "y'all'd've you'd you'd've you'll you're you've"
)


def answer_credit(rule: Grading, reply: str, answers: Sequence[str]) -> float:
    """The credit in [0, 1] of a reply, without hidden reasoning and markers of the tokenizer.

    >>> answer_credit("vqa", "Two cats", ["2 cats"] * 2 + ["cats"] * 8)
    0.6
    >>> answer_credit("anls", "Hello wrld", ["hello world"]), answer_credit("relaxed", "10.4", ["10"])
    (0.9090909090909091, 1.0)
    """
    return RULES[rule](_DROPPED.sub(" ", reply).strip(), answers)


def check_grading(rule: str, where: str) -> None:
    """Raise a UserError that names `where` unless there is such a rule."""
    if rule not in RULES:
        raise UserError(f"{where}={rule}: valid values are {', '.join(get_args(Grading))}")


def exact(reply: str, answers: Sequence[str]) -> float:
    """1 where the reply equals an accepted answer."""
    return float(_plain(reply) in map(_plain, answers))


def vqa_accuracy(reply: str, answers: Sequence[str]) -> float:
    """Mean over the annotators of min(1, others who gave this answer / 3). With fewer than four accepted answers 1 for
    any of them, for there are no three others.
    """
    normal, accepted = vqa_normal(reply), [vqa_normal(answer) for answer in answers]
    same = accepted.count(normal)
    if len(accepted) < 4:
        return float(same > 0)
    others = same * min(1.0, (same - 1) / 3) + (len(accepted) - same) * min(1.0, same / 3)
    return round(others / len(accepted), 12)


def anls(reply: str, answers: Sequence[str]) -> float:
    """The average normalised Levenshtein similarity of one question, of the accepted answer that is nearest.

    As in the official scripts, the distance is taken without case and doubled spaces, the length with them.
    """
    return max(_similarity(reply, answer) for answer in answers)


def relaxed(reply: str, answers: Sequence[str]) -> float:
    """1 where the reply is within 5 % of an accepted number, or equals an accepted text."""
    return float(any(_near(reply.strip(), answer.strip()) for answer in answers))


RULES: Mapping[str, Callable[[str, Sequence[str]], float]] = {
    "exact": exact,
    "vqa": vqa_accuracy,
    "anls": anls,
    "relaxed": relaxed,
}


def vqa_normal(text: str) -> str:
    """An answer normalised as by VQA's evaluation: punctuation, case, number words, articles, contractions."""
    text = " ".join(text.replace("\n", " ").replace("\t", " ").split())
    comma_in_number = re.search(r"\d,\d", text) is not None
    plain = text
    for sign in _PUNCTUATION:
        alone = f"{sign} " in text or f" {sign}" in text or comma_in_number
        plain = plain.replace(sign, "" if alone else " ")
    plain = re.sub(r"\.(?!\d)", "", plain)
    words = (_DIGITS.get(word, word) for word in plain.lower().split())
    return " ".join(_WITH_APOSTROPHES.get(word, word) for word in words if word not in _ARTICLES)


def _without_some(word: str) -> list[str]:
    """The word without one or more of its apostrophes."""
    places = [i for i, sign in enumerate(word) if sign == "'"]
    removals = (set(removed) for count in range(1, len(places) + 1) for removed in combinations(places, count))
    return ["".join(sign for i, sign in enumerate(word) if i not in removed) for removed in removals]


_WITH_APOSTROPHES = {bare: word for word in _CONTRACTIONS.split() for bare in _without_some(word)}


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(" .")


def _similarity(a: str, b: str) -> float:
    longest = max(len(a.upper()), len(b.upper()))
    distance = _distance(*(" ".join(text.lower().split()) for text in (a, b)))
    share = 1 - distance / longest if longest else 1.0
    return share if share >= HALF else 0.0


def _distance(a: str, b: str) -> int:
    """The Levenshtein distance."""
    row = list(range(len(b) + 1))
    for i, sign in enumerate(a, start=1):
        last, row[0] = row[0], i
        for j, other in enumerate(b, start=1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (sign != other))
    return row[-1]


def _near(reply: str, accepted: str) -> bool:
    number, target = _number(reply), _number(accepted)
    if number is not None and target:
        return abs(number - target) / abs(target) <= _TOLERANCE
    return reply.lower() == accepted.lower()


def _number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None
