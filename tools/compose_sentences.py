# ruff: noqa: INP001  a script, not a package
"""Compose `data/sentences.tsv`, the default corpus: everyday sentences in Korean, English, Spanish and French.

Eight frames with three or four slots each are filled from a small lexicon. A word has one rendering per language, so
translation is compositional; particles, articles and agreement follow from the words. The split holds out combinations,
never words: in a held-out sentence every pair of fillers was seen together in training in the same frame, and no three
of them were.

Run `python tools/compose_sentences.py data/sentences.tsv` to write the file again; the result never varies.
"""

import argparse
import itertools
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

VALID, TEST = 5, 8  # held-out groups of each frame
CANDIDATES = 60  # combinations looked at for each choice
SEED = 7
LANGUAGES = ("ko", "en", "es", "fr")


@dataclass(frozen=True)
class Word:
    """One filler: its rendering in each language. Nouns carry the definite article in Spanish and French."""

    en: str
    ko: str
    es: str
    fr: str


@dataclass(frozen=True)
class Frame:
    """A sentence pattern.

    `slots` names the parts of the lexicon that it joins, `train` is how many sentences train with it, and `render`
    joins the fillers in Korean, English, Spanish and French.
    """

    name: str
    slots: tuple[str, ...]
    train: int
    render: Callable[..., tuple[str, str, str, str]]


def _words(table: str) -> tuple[Word, ...]:
    rows = [re.split(r"\s*\|\s*", line.strip()) for line in table.strip().splitlines()]
    return tuple(Word(*row) for row in rows)


PEOPLE = _words("""
    my mother     | 어머니 | mi madre      | ma mère
    my brother    | 남동생 | mi hermano    | mon frère
    my daughter   | 딸     | mi hija       | ma fille
    my friend     | 친구   | mi amigo      | mon ami
    the president | 대통령 | el presidente | le président
    the teacher   | 선생님 | el maestro    | le professeur
    the doctor    | 의사   | el médico     | le médecin
    the driver    | 운전사 | el conductor  | le chauffeur
    the student   | 학생   | el estudiante | l'étudiant
    the captain   | 선장   | el capitán    | le capitaine
""")
PLACES = _words("""
    station    | 역     | la estación    | la gare
    market     | 시장   | el mercado     | le marché
    library    | 도서관 | la biblioteca  | la bibliothèque
    hospital   | 병원   | el hospital    | l'hôpital
    museum     | 박물관 | el museo       | le musée
    school     | 학교   | la escuela     | l'école
    park       | 공원   | el parque      | le parc
    beach      | 해변   | la playa       | la plage
    restaurant | 식당   | el restaurante | le restaurant
    church     | 교회   | la iglesia     | l'église
""")
THINGS = _words("""
    umbrella  | 우산   | el paraguas    | le parapluie
    guitar    | 기타   | la guitarra    | la guitare
    jacket    | 재킷   | la chaqueta    | la veste
    newspaper | 신문   | el periódico   | le journal
    sweater   | 스웨터 | el suéter      | le pull
    computer  | 컴퓨터 | la computadora | l'ordinateur
    mirror    | 거울   | el espejo      | le miroir
    camera    | 카메라 | la cámara      | la caméra
    blanket   | 담요   | la manta       | la couverture
    wallet    | 지갑   | la cartera     | le portefeuille
""")
LOOKS = _words("""
    red       | 빨간     | rojo/roja         | rouge/rouge
    black     | 검은     | negro/negra       | noir/noire
    yellow    | 노란     | amarillo/amarilla | jaune/jaune
    purple    | 보라색   | morado/morada     | violet/violette
    new       | 새       | nuevo/nueva       | neuf/neuve
    beautiful | 아름다운 | hermoso/hermosa   | magnifique/magnifique
""")
FURNITURE = _words("""
    table      | 탁자     | la mesa      | la table
    chair      | 의자     | la silla     | la chaise
    sofa       | 소파     | el sofá      | le canapé
    piano      | 피아노   | el piano     | le piano
    television | 텔레비전 | el televisor | la télévision
""")
SIDES = _words("""
    under       | 아래 | debajo de  | sous
    behind      | 뒤   | detrás de  | derrière
    next to     | 옆   | al lado de | à côté de
    in front of | 앞   | delante de | devant
""")
FOODS = _words("""
    bread   | 빵     | pan      | du pain
    chicken | 닭고기 | pollo    | du poulet
    soup    | 수프   | sopa     | de la soupe
    salad   | 샐러드 | ensalada | de la salade
    cheese  | 치즈   | queso    | du fromage
""")
DRINKS = _words("""
    coffee       | 커피        | café            | du café
    lemonade     | 레모네이드  | limonada        | de la limonade
    milk         | 우유        | leche           | du lait
    water        | 물          | agua            | de l'eau
    orange juice | 오렌지 주스 | jugo de naranja | du jus d'orange
""")
PAST = _words("""
    yesterday    | 어제        | ayer             | hier
    last night   | 어젯밤에    | anoche           | hier soir
    on Monday    | 월요일에    | el lunes         | lundi
    on Friday    | 금요일에    | el viernes       | vendredi
    this morning | 오늘 아침에 | esta mañana      | ce matin
    last week    | 지난주에    | la semana pasada | la semaine dernière
""")
FUTURE = _words("""
    tomorrow  | 내일      | mañana            | demain
    today     | 오늘      | hoy               | aujourd'hui
    next week | 다음 주에 | la próxima semana | la semaine prochaine
    on Sunday | 일요일에  | el domingo        | dimanche
""")
DONE = _words("""
    found  | 찾았어요     | encontró | a trouvé
    lost   | 잃어버렸어요 | perdió   | a perdu
    bought | 샀어요       | compró   | a acheté
    sold   | 팔았어요     | vendió   | a vendu
""")
WISHED = _words("""
    buy   | 사고     | comprar | acheter
    sell  | 팔고     | vender  | vendre
    send  | 보내고   | enviar  | envoyer
    bring | 가져오고 | traer   | apporter
""")
LEXICON = {
    "person": PEOPLE, "other": PEOPLE, "place": PLACES, "thing": THINGS, "look": LOOKS, "furniture": FURNITURE,
    "side": SIDES, "food": FOODS, "drink": DRINKS, "past": PAST, "future": FUTURE, "done": DONE, "wished": WISHED,
}  # fmt: skip


def particle(word: str, pair: str) -> str:
    """`word` with the particle that fits its last syllable: `pair` is `after consonant/after vowel`, e.g. `은/는`."""
    after_consonant, after_vowel = pair.split("/")
    return word + (after_consonant if (ord(word[-1]) - ord("가")) % 28 else after_vowel)


def _spanish(text: str) -> str:
    return re.sub(r"\bde el\b", "del", re.sub(r"\ba el\b", "al", text))


def _french(text: str) -> str:
    return text.replace("à le ", "au ").replace("de le ", "du ")


def _feminine(noun: str) -> bool:
    return noun.startswith("la ")


def _looks(look: str, noun: str) -> str:
    masculine, feminine = look.split("/")
    return feminine if _feminine(noun) else masculine


def _a(noun: str, look: str, articles: tuple[str, str]) -> str:
    """Indefinite article, noun and agreeing adjective of a Spanish or French noun given with its definite article."""
    bare = noun.removeprefix("l'") if noun.startswith("l'") else noun.partition(" ")[2]
    return f"{articles[_feminine(noun)]} {bare} {_looks(look, noun)}"


def _done(p: Word, v: Word, o: Word, at: Word) -> tuple[str, str, str, str]:
    return (
        f"{particle(p.ko, '은/는')} {at.ko}에서 {particle(o.ko, '을/를')} {v.ko}",
        f"{p.en} {v.en} the {o.en} at the {at.en}",
        f"{p.es} {v.es} {o.es} en {at.es}",
        f"{p.fr} {v.fr} {o.fr} à {at.fr}",
    )


def _wants(p: Word, v: Word, o: Word, when: Word) -> tuple[str, str, str, str]:
    return (
        f"{particle(p.ko, '은/는')} {when.ko} {particle(o.ko, '을/를')} {v.ko} 싶어 해요",
        f"{p.en} wants to {v.en} the {o.en} {when.en}",
        f"{p.es} quiere {v.es} {o.es} {when.es}",
        f"{p.fr} veut {v.fr} {o.fr} {when.fr}",
    )


def _went(when: Word, p: Word, to: Word) -> tuple[str, str, str, str]:
    gone = "est allée" if p.fr.startswith("ma ") else "est allé"
    return (
        f"{when.ko} {particle(p.ko, '은/는')} {to.ko}에 갔어요",
        f"{when.en} {p.en} went to the {to.en}",
        f"{when.es} {p.es} fue a {to.es}",
        f"{when.fr} {p.fr} {gone} à {to.fr}",
    )


def _lies(look: Word, o: Word, side: Word, by: Word) -> tuple[str, str, str, str]:
    return (
        f"{look.ko} {particle(o.ko, '은/는')} {by.ko} {side.ko}에 있어요",
        f"the {look.en} {o.en} is {side.en} the {by.en}",
        f"{o.es} {_looks(look.es, o.es)} está {side.es} {by.es}",
        f"{o.fr} {_looks(look.fr, o.fr)} est {side.fr} {by.fr}",
    )


def _ordered(when: Word, p: Word, food: Word, drink: Word) -> tuple[str, str, str, str]:
    return (
        f"{when.ko} {particle(p.ko, '은/는')} {particle(food.ko, '과/와')} {particle(drink.ko, '을/를')} 주문했어요",
        f"{when.en} {p.en} ordered {food.en} and {drink.en}",
        f"{when.es} {p.es} pidió {food.es} y {drink.es}",
        f"{when.fr} {p.fr} a commandé {food.fr} et {drink.fr}",
    )


def _gave(p: Word, to: Word, look: Word, o: Word) -> tuple[str, str, str, str]:
    return (
        f"{particle(p.ko, '은/는')} {to.ko}에게 {look.ko} {particle(o.ko, '을/를')} 주었어요",
        f"{p.en} gave {to.en} a {look.en} {o.en}",
        f"{p.es} le dio a {to.es} {_a(o.es, look.es, ('un', 'una'))}",
        f"{p.fr} a donné {_a(o.fr, look.fr, ('un', 'une'))} à {to.fr}",
    )


def _needs(p: Word, look: Word, o: Word, when: Word) -> tuple[str, str, str, str]:
    return (
        f"{particle(p.ko, '은/는')} {when.ko} {look.ko} {particle(o.ko, '이/가')} 필요해요",
        f"{p.en} needs a {look.en} {o.en} {when.en}",
        f"{p.es} necesita {_a(o.es, look.es, ('un', 'una'))} {when.es}",
        f"{p.fr} a besoin d'{_a(o.fr, look.fr, ('un', 'une'))} {when.fr}",
    )


def _saw(when: Word, p: Word, at: Word) -> tuple[str, str, str, str]:
    return (
        f"{when.ko} 우리는 {at.ko}에서 {particle(p.ko, '을/를')} 봤어요",
        f"{when.en} we saw {p.en} at the {at.en}",
        f"{when.es} vimos a {p.es} en {at.es}",
        f"{when.fr} nous avons vu {p.fr} à {at.fr}",
    )


FRAMES = (
    Frame("done", ("person", "done", "thing", "place"), 116, _done),
    Frame("wants", ("person", "wished", "thing", "future"), 112, _wants),
    Frame("went", ("past", "person", "place"), 112, _went),
    Frame("lies", ("look", "thing", "side", "furniture"), 130, _lies),
    Frame("ordered", ("past", "person", "food", "drink"), 130, _ordered),
    Frame("gave", ("person", "other", "look", "thing"), 118, _gave),
    Frame("needs", ("person", "look", "thing", "future"), 116, _needs),
    Frame("saw", ("past", "person", "place"), 118, _saw),
)

Fillers = tuple[int, ...]


def sentences(frame: Frame, fillers: Fillers) -> tuple[str, str, str, str]:
    """One group: the sentence in Korean, English, Spanish and French, with capital and full stop."""
    words = [LEXICON[slot][i] for slot, i in zip(frame.slots, fillers, strict=True)]
    ko, en, es, fr = frame.render(*words)
    return ko + ".", *(text[0].upper() + text[1:] + "." for text in (en, _spanish(es), _french(fr)))


def _parts(fillers: Fillers, size: int) -> list[tuple[tuple[int, int], ...]]:
    """Every choice of `size` slots with their fillers."""
    return list(itertools.combinations(enumerate(fillers), size))


def _draw(frame: Frame, rng: random.Random) -> Fillers:
    while True:
        fillers = tuple(rng.randrange(len(LEXICON[slot])) for slot in frame.slots)
        if "other" not in frame.slots or fillers[0] != fillers[1]:  # nobody gives something to himself
            return fillers


def compose(frame: Frame, *, valid: int, test: int, seed: int) -> dict[str, list[Fillers]]:
    """Choose one frame's sentences for each split.

    Training draws the combination whose pairs of fillers are rarest so far, which balances fillers and covers pairs.
    Held-out combinations have only pairs that training has, and no triple that training has.
    """
    rng = random.Random(f"{seed} {frame.name}")  # noqa: S311  not a secret
    counts: Counter[tuple[tuple[int, int], ...]] = Counter()
    splits: dict[str, list[Fillers]] = {"train": [], "valid": [], "test": []}

    def rarity(fillers: Fillers) -> tuple[int, int]:
        singles, pairs = _parts(fillers, 1), _parts(fillers, 2)
        return sum(counts[part] for part in pairs), sum(counts[part] ** 2 for part in singles)

    def take(split: str, candidates: Sequence[Fillers]) -> None:
        chosen = min(candidates, key=rarity)
        splits[split].append(chosen)
        counts.update(_parts(chosen, 1) + _parts(chosen, 2))

    while len(splits["train"]) < frame.train:
        fresh = {_draw(frame, rng) for _ in range(CANDIDATES)} - set(splits["train"])
        take("train", sorted(fresh))
    pairs = {part for fillers in splits["train"] for part in _parts(fillers, 2)}
    triples = {part for fillers in splits["train"] for part in _parts(fillers, 3)}
    space = itertools.product(*(range(len(LEXICON[slot])) for slot in frame.slots))
    unseen = [f for f in space if pairs.issuperset(_parts(f, 2)) and triples.isdisjoint(_parts(f, 3))]
    counts.clear()
    for split, size in (("test", test), ("valid", valid)):
        for _ in range(size):
            free = [f for f in unseen if f not in splits["test"] and f not in splits["valid"]]
            take(split, rng.sample(free, min(CANDIDATES, len(free))))
    return splits


def corpus() -> list[tuple[str, str, tuple[str, str, str, str]]]:
    """All groups as (id, split, sentences), frames interleaved and splits spread."""
    rows = [
        (split, sentences(frame, fillers))
        for frame in FRAMES
        for split, chosen in compose(frame, valid=VALID, test=TEST, seed=SEED).items()
        for fillers in chosen
    ]
    random.Random(SEED).shuffle(rows)  # noqa: S311  not a secret
    return [(f"g{number:04d}", split, texts) for number, (split, texts) in enumerate(rows, start=1)]


def main() -> None:
    """Write the table to the path given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path, help="where to write, e.g. data/sentences.tsv")
    lines = ["\t".join(("group", "split", *LANGUAGES))]
    lines += ["\t".join((group, split, *texts)) for group, split, texts in corpus()]
    parser.parse_args().table.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
