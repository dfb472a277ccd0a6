"""WordNet against NLTK's own answers, and the senses that are chosen for names."""

from __future__ import annotations

import random

import pytest
from nltk.corpus import wordnet as nltk_wordnet

from hierarchy.sources import ClassList, read_classes
from hierarchy.wordnet import Confidence, find_senses
from hierarchy.wordnet.disambiguate import choose_senses


def theirs(wnid):
    return nltk_wordnet.synset_from_pos_and_offset("n", int(wnid[1:]))


@pytest.fixture(scope="module")
def imagenet():
    return read_classes("imagenet-1k")


def test_every_imagenet_id_is_a_synset_by_its_offset(wordnet, imagenet):
    for wnid, name in zip(imagenet.ids, imagenet.names, strict=True):
        assert name.lower() in [word.lower() for word in wordnet.synset(wnid).words], wnid


def test_paths_distances_and_similarities_are_those_of_nltk(wordnet, imagenet):
    drawn = random.Random(0).sample(imagenet.ids, 40)
    for first, second in zip(drawn[::2], drawn[1::2], strict=True):
        paths = {tuple(f"n{s.offset():08}" for s in path) for path in theirs(first).hypernym_paths()}
        assert set(wordnet.paths(first)) == paths
        distances = dict(theirs(first).hypernym_distances())
        assert wordnet.ancestors(first) == {
            f"n{synset.offset():08}": min(d for s, d in theirs(first).hypernym_distances() if s == synset)
            for synset in distances
        }
        lowest = {f"n{s.offset():08}" for s in theirs(first).lowest_common_hypernyms(theirs(second))}
        assert wordnet.lowest_common(first, second) in lowest
        assert wordnet.wu_palmer(first, second) == pytest.approx(wordnet.wu_palmer(second, first))
        assert 0 < wordnet.wu_palmer(first, second) < wordnet.wu_palmer(first, first) == 1


def test_304_imagenet_classes_have_several_hypernym_paths(wordnet, imagenet):
    assert sum(len(wordnet.paths(wnid)) > 1 for wnid in imagenet.ids) == 304


def test_information_is_that_of_counting_hyponyms_one_by_one(wordnet):
    from math import log

    dog = theirs("n02084071")
    below = {dog, *dog.closure(lambda s: s.hyponyms() + s.instance_hyponyms())}
    total = 82_115  # nouns of WordNet 3.0, by its page wnstats(7WN); to count them takes seconds
    assert wordnet.information("n02084071") == pytest.approx(1 - log(len(below)) / log(total))
    assert wordnet.information("n00001740") == 0  # entity


@pytest.mark.parametrize("nonsense", ["n00000001", "n1440764", "dog", "v01440764", "n99999999"])
def test_unknown_synsets_are_a_key_error(wordnet, nonsense):
    assert not wordnet.has(nonsense)
    with pytest.raises(KeyError):
        wordnet.synset(nonsense)


def test_the_senses_of_names_alone_are_right_for_900_of_imagenets_classes(wordnet, imagenet):
    blank = ClassList(tuple(map(str, range(1000))), imagenet.names, ("",) * 1000, "names")
    chosen = choose_senses(blank, wordnet)
    right = sum(meaning.wnid == wnid for meaning, wnid in zip(chosen, imagenet.ids, strict=True))
    first = sum(wordnet.senses(name)[:1] == (wnid,) for name, wnid in zip(imagenet.names, imagenet.ids, strict=True))
    assert right >= 900 > 800 > first


def test_definitions_settle_most_of_the_rest(wordnet, imagenet):
    told = ClassList(tuple(map(str, range(1000))), imagenet.names, imagenet.definitions, "names and definitions")
    chosen = choose_senses(told, wordnet)
    assert sum(meaning.wnid == wnid for meaning, wnid in zip(chosen, imagenet.ids, strict=True)) >= 980


def test_other_names_decide_the_sense_of_a_name(wordnet, named):
    animals = dict(
        zip(range(5), choose_senses(named("mouse", "rat", "hamster", "squirrel", "rabbit"), wordnet), strict=True)
    )
    devices = choose_senses(named("mouse", "computer keyboard", "printer", "modem", "trackball"), wordnet)
    assert wordnet.synset(animals[0].wnid).field == "animal"
    assert wordnet.synset(devices[0].wnid).field == "artifact"
    assert devices[0].wnid in [wnid for wnid, _ in animals[0].shares] or len(animals[0].shares) == 1


def test_a_wnid_overrides_its_name(wordnet):
    classes = ClassList(("n02012849", "n03126707"), ("crane", "crane"), ("", ""), "twins")
    assert [meaning.wnid for meaning in choose_senses(classes, wordnet)] == ["n02012849", "n03126707"]
    assert {meaning.confidence for meaning in choose_senses(classes, wordnet)} == {Confidence.EXACT}


def test_phrases_are_understood_by_their_head_and_narrowed_by_their_modifiers(wordnet, named):
    fish, tree, nothing = choose_senses(named("aquarium fish", "maple tree", "xyzzy"), wordnet)
    assert wordnet.synset(fish.wnid).words[0] == "fish" and fish.confidence == Confidence.HEAD
    assert "maple" in wordnet.synset(tree.wnid).words
    assert not nothing and nothing.shares == ()


def test_runners_up_are_kept_with_their_shares(wordnet, named):
    for meaning in choose_senses(named("seal", "ray", "crane", "bank"), wordnet):
        shares = [share for _, share in meaning.shares]
        assert meaning.shares[0][0] == meaning.wnid
        assert shares == sorted(shares, reverse=True) and sum(shares) <= 1 + 1e-6


def test_definitions_are_filled_in_only_if_the_source_gives_none(wordnet):
    classes = ClassList(("tiger shark", "zzyzx", "mako"), ("tiger shark", "zzyzx", "mako"), ("", "", "a shark"), "sea")
    first, second, third = find_senses(classes, wordnet).definitions
    assert first.startswith("large dangerous warm-water shark") and (second, third) == ("", "a shark")


def test_a_meaning_says_how_it_was_found(wordnet, named):
    names = ("n02084071", "tiger shark", "mouse", "aquarium fish", "xyzzy")
    found = choose_senses(named(*names), wordnet)
    assert [meaning.confidence.name for meaning in found] == ["EXACT", "NAME", "KIN", "HEAD", "UNKNOWN"]
    assert [meaning.is_sure for meaning in found[:2]] == [True, True] and not found[3].is_sure


def test_a_sentence_model_helps_to_choose_a_sense(wordnet, named):
    classes = named("spider", "frying pan", "knife", "fork", "spoon")

    def liken(names, senses):
        return [float("arachnid" in text) for _, text in senses]

    alone, helped = choose_senses(classes, wordnet)[0], choose_senses(classes, wordnet, liken)[0]
    assert wordnet.synset(alone.wnid).field == "artifact"
    assert wordnet.synset(helped.wnid).field == "animal"
