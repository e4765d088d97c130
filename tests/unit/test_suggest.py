"""The nearest known word, or some of those that there are."""

from bittrue.suggest import did_you_mean


def test_a_near_word_is_named() -> None:
    assert did_you_mean("natve", ["native", "source"]) == "did you mean 'native'?"


def test_two_near_words_are_both_named() -> None:
    assert did_you_mean("conv", ["conv1", "conv2"]) in (
        "did you mean 'conv1' or 'conv2'?",
        "did you mean 'conv2' or 'conv1'?",
    )


def test_nothing_near_gives_a_short_list() -> None:
    assert did_you_mean("zzz", ["a", "b"]) == "choose one of 'a', 'b'"
    assert did_you_mean("zzz", map(str, range(20))).endswith("'7', ...")


def test_nothing_to_choose_from_is_said() -> None:
    assert did_you_mean("x", []) == "there is none to choose from"
