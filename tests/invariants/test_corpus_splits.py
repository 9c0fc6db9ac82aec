"""Splits never leak: whatever the corpus, no group, no shared text and no shared speaker is torn apart."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tongyeok import config
from tongyeok.base.utterances import Utterance
from tongyeok.corpus import manifest
from tongyeok.errors import ManifestError


def utterance(group: str, lang: str, *, speaker: str, text: str) -> Utterance:
    return Utterance(
        utt=f"{group}_{lang}", group=group, lang=lang, split="", speaker=speaker, text=text, audio="", samples=16_000
    )


@st.composite
def corpora(draw: st.DrawFn) -> list[Utterance]:
    """Utterances of up to 40 groups in three languages, some with equal texts and shared speakers."""
    utterances = []
    for number in range(draw(st.integers(3, 40))):
        for lang in draw(st.lists(st.sampled_from(["ko", "en", "es"]), min_size=1, max_size=3, unique=True)):
            speaker, text = f"s{draw(st.integers(0, 60))}", f"t{draw(st.integers(0, 80))}"
            utterances.append(utterance(f"g{number}", lang, speaker=speaker, text=text))
    return utterances


def section(together: str, *, valid: float, test: float, seed: int) -> manifest.ManifestConfig:
    values = {"splits": "seeded", "together": together, "valid": valid, "test": test, "seed": seed}
    return config.build(manifest.ManifestConfig, values | {"min_seconds": 0.0, "max_seconds": 9.0}, where="manifest")


@settings(max_examples=40, deadline=None)
@given(
    utterances=corpora(),
    together=st.sampled_from(["group", "speaker"]),
    sizes=st.tuples(*[st.one_of(st.integers(1, 5), st.floats(0.01, 0.4))] * 2),
    seed=st.integers(0, 9),
    order=st.randoms(use_true_random=False),
)
def test_nothing_is_torn_apart(
    utterances: list[Utterance],
    together: str,
    sizes: tuple[float, float],
    seed: int,
    order: object,
) -> None:
    """A group, a text in a language and, where asked, a speaker stand in one split; the rows' order does not matter."""
    cfg = section(together, valid=float(sizes[0]), test=float(sizes[1]), seed=seed)
    try:
        split_of = manifest.seeded(utterances, cfg)
    except ManifestError:
        return  # so much cannot be held out whole
    assert set(split_of) == {u.group for u in utterances}
    kinds = [lambda u: u.group, lambda u: (u.lang, u.text)]
    if together == "speaker":
        kinds.append(lambda u: u.speaker)
    for kind in kinds:
        homes: dict[object, set[str]] = {}
        for utterance in utterances:
            homes.setdefault(kind(utterance), set()).add(split_of[utterance.group])
        assert all(len(splits) == 1 for splits in homes.values())
    shuffled = utterances.copy()
    order.shuffle(shuffled)
    assert manifest.seeded(shuffled, cfg) == split_of


@settings(max_examples=20, deadline=None)
@given(utterances=corpora(), data=st.data())
def test_official_splits_are_whole_or_refused(utterances: list[Utterance], data: st.DataObject) -> None:
    """Official splits are taken as they are when every group has one, and refused as soon as a group has two."""
    names = st.sampled_from(["train", "valid", "test"])
    of_group = {group: data.draw(names) for group in sorted({u.group for u in utterances})}
    whole = [replace(u, split=of_group[u.group]) for u in utterances]
    assert manifest.official(whole, together="group") == of_group
    torn = replace(whole[0], utt="torn", split={"train": "test", "valid": "train", "test": "valid"}[whole[0].split])
    try:
        manifest.official([*whole, torn], together="group")
    except ManifestError as error:
        assert f"group {torn.group}: expected one split" in str(error)  # noqa: PT017  hypothesis forbids nothing here
    else:
        raise AssertionError("a torn group was accepted")
