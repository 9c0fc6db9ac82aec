"""The stage `recognizer`: it learns, repeats, resumes, and refuses what would make it an unfair judge."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tongyeok import config
from tongyeok.base.audio import read_location
from tongyeok.base.error_rates import cer
from tongyeok.base.manifests import read_manifest
from tongyeok.base.stage import Context
from tongyeok.base.utterances import read_utterances
from tongyeok.engine.recognizer import Recognizer, RecognizerConfig, most_letters
from tongyeok.errors import CheckpointError, ConfigError, CorpusError, ManifestError, TrainingError
from tongyeok.recognizer import recognizer
from unit.recognizer.toy_letters import VALUES, build

Run = Callable[..., dict[str, float]]


def _config(**changes: Any) -> RecognizerConfig:
    return config.build(RecognizerConfig, VALUES | changes, where="recognizer")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy corpus; tests only read it."""
    return build(tmp_path_factory.mktemp("letters"))


@pytest.fixture
def run(folder: Path, tmp_path: Path) -> Run:
    """Run the stage: `run(cfg, root=…, outputs="a", scratch="s", on_metrics=…)`."""

    def execute(
        cfg: RecognizerConfig,
        *,
        root: Path = folder,
        outputs: str = "outputs",
        scratch: str = "scratch",
        on_metrics: Callable[[int, Mapping[str, float]], None] = lambda _step, _values: None,
    ) -> dict[str, float]:
        (tmp_path / outputs).mkdir()
        inputs = recognizer.Inputs(corpus=root / "corpus", manifest=root / "manifest", hubert=root / "hubert")
        context = Context(scratch=tmp_path / scratch, threads=1, on_metrics=on_metrics)
        return recognizer.run(cfg, inputs=inputs, outputs=tmp_path / outputs, context=context)

    return execute


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_it_learns_letters(run: Run, folder: Path, tmp_path: Path) -> None:
    """A few hundred updates on tones bring letter errors on new sentences far below those of silence (100 %)."""
    metrics = run(_config(updates=300, validate_updates=100, report_updates=20, layer_drop=0.0))
    assert metrics["cer/en"] < 30
    assert metrics["cer/ko"] < 30
    assert metrics["clips_left_out"] == 0
    test = read_manifest(folder / "manifest", "test")
    texts = {row.utt: row.text for row in read_utterances(folder / "corpus")}
    model = Recognizer(tmp_path / "outputs" / "checkpoint.pt", device="cpu")
    clips = [read_location(test.root, location) for location in test.locations]
    heard = [recognizer.read(symbols) for symbols in model.hear(clips)]
    assert cer(heard, [texts[utt] for utt in test.utts]) < 30
    assert model.hear([clip[::-1].copy() for clip in clips]) != model.hear(clips)
    assert model.hear([np.zeros(0, np.float32), np.zeros(300, np.float32)]) == [[], []]


def test_interrupted_and_resumed_gives_the_same_bytes(run: Run, tmp_path: Path) -> None:
    """A training stopped at any update and run again makes exactly the files of one left alone."""

    def interrupt(step: int, values: Mapping[str, float]) -> None:
        if step == 5 and "train/loss" in values:
            raise KeyboardInterrupt

    metrics = run(_config(), outputs="whole", scratch="one")
    with pytest.raises(KeyboardInterrupt):
        run(_config(), outputs="never", scratch="two", on_metrics=interrupt)
    run(_config(), outputs="resumed", scratch="two")
    expected, found = _files(tmp_path / "whole"), _files(tmp_path / "resumed")
    names = {"checkpoint.pt", "curves.csv", "metrics.json", "dict.ltr.txt", "train.ltr", "train.groups", "valid.ltr"}
    assert set(found) == names
    assert [name for name in expected if expected[name] != found[name]] == []
    assert metrics == json.loads(expected["metrics.json"])
    assert set(metrics) == {"cer/en", "cer/ko", "wer/en", "wer/ko", "valid_loss", "letters", "clips_left_out"}


def test_the_seed_matters(run: Run, tmp_path: Path) -> None:
    """Another seed gives another model, so equal bytes do not come from a model that was not trained."""
    run(_config(updates=1), outputs="a", scratch="sa")
    run(_config(updates=1, seed=2), outputs="b", scratch="sb")
    assert _files(tmp_path / "a")["checkpoint.pt"] != _files(tmp_path / "b")["checkpoint.pt"]


def test_it_is_trained_on_training_groups_only(run: Run, folder: Path, tmp_path: Path) -> None:
    """Labels follow the manifest's training and validation rows in the wanted languages; test texts are nowhere."""
    run(_config(updates=1, languages=["ko"], hangul="syllables"))
    texts = {row.utt: row.text for row in read_utterances(folder / "corpus")}
    for split in ("train", "valid"):
        wanted = [texts[utt] for utt in read_manifest(folder / "manifest", split).utts if utt.endswith("_ko")]
        lines = (tmp_path / "outputs" / f"{split}.ltr").read_text().splitlines()
        assert [recognizer.read(line.split()) for line in lines] == wanted
    rows = {row.utt: row.group for row in read_utterances(folder / "corpus")}
    groups = [rows[utt] for utt in read_manifest(folder / "manifest", "train").utts if utt.endswith("_ko")]
    assert (tmp_path / "outputs" / "train.groups").read_text().splitlines() == groups
    symbols = {line.split()[0] for line in (tmp_path / "outputs" / "dict.ltr.txt").read_text().splitlines()}
    assert symbols == set("가나다라각|")


def test_only_training_rows_reach_the_gradient(folder: Path, run: Run, tmp_path: Path) -> None:
    """Other test texts leave every byte as it is."""
    test = {utt: "b" for utt in read_manifest(folder / "manifest", "test").utts if utt.endswith("_en")}
    assert test
    other = build(tmp_path / "other", texts=test)
    run(_config(updates=2), outputs="a", scratch="sa")
    run(_config(updates=2), root=other, outputs="b", scratch="sb")
    assert _files(tmp_path / "a") == _files(tmp_path / "b")


@pytest.mark.parametrize(("utt", "split"), [("g41_ko", "valid"), ("g49_en", "test")])
def test_splits_that_share_a_group_are_refused(run: Run, tmp_path: Path, utt: str, split: str) -> None:
    """A recogniser that learnt what it will judge would be no judge."""
    root = build(tmp_path / "leaky", shared=[utt])
    with pytest.raises(ManifestError, match=rf"group 'g0' and 0 more lie in both train and {split}"):
        run(_config(), root=root)


def test_missing_texts_are_named(run: Run, tmp_path: Path) -> None:
    """A recording without text is one clear error; in a language that is not wanted it does not matter."""
    root = build(tmp_path / "mute", texts={"g3_ko": "", "g4_ko": "…"})
    with pytest.raises(CorpusError, match=r"train\.tsv: utterance g3_ko \(ko\) has no text to learn from, got ''"):
        run(_config(), root=root, outputs="a")
    run(_config(updates=1, languages=["en"]), root=root, outputs="b")


def test_letters_that_cannot_be_learnt_are_named(run: Run, tmp_path: Path) -> None:
    """A validation text with letters of no training text is one clear error; a training text adds its own."""
    root = build(tmp_path / "strange", texts={"g41_ko": "가 7 각 ñ"})
    expected = r"valid\.tsv: the text of g41_ko \(ko\) has letters that no training text has: 7 ñ; got '가 7 각 ñ'"
    with pytest.raises(CorpusError, match=expected):
        run(_config(), root=root, outputs="a")
    root = build(tmp_path / "known", texts={"g41_ko": "가 7 각", "g3_ko": "7"})
    run(_config(updates=1), root=root, outputs="b")


def test_what_cannot_be_learnt_from_is_left_out_or_refused(run: Run, tmp_path: Path) -> None:
    """Clips of a wrong length or with more letters than frames are counted; none left, or no language, is an error."""
    root = build(tmp_path / "long", texts={"g3_en": "abcdefgh" * 10})
    assert run(_config(updates=1), root=root, outputs="a")["clips_left_out"] == 1
    with pytest.raises(TrainingError, match=r"none of 80 clips lasts 3\.9 to 4\.0 s"):
        run(_config(shortest_s=3.9), outputs="b")
    with pytest.raises(CorpusError, match=r"train\.tsv: no recordings in fr; take them out of recognizer\.languages"):
        run(_config(languages=["en", "fr"]), outputs="c")
    assert most_letters(16_000) == 49


def test_a_checkpoint_that_runs_code_is_refused(run: Run, tmp_path: Path) -> None:
    """A configuration that fairseq would evaluate never reaches it: not when read, not when fine-tuned."""
    run(_config(updates=1))
    path = tmp_path / "outputs" / "checkpoint.pt"
    state = torch.load(path, weights_only=False)
    state["cfg"]["model"]["w2v_args"]["model"]["conv_feature_layers"] = "__import__('os').abort()"
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=re.escape("`conv_feature_layers` would be run as code")):
        Recognizer(path, device="cpu")
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        Recognizer(tmp_path / "nowhere.pt", device="cpu")


def test_a_hubert_is_no_recogniser(folder: Path) -> None:
    """A checkpoint of another stage is refused by name."""
    with pytest.raises(CheckpointError, match="expected a checkpoint of the stage `recognizer`, got model 'hubert'"):
        Recognizer(folder / "hubert" / "checkpoint.pt", device="cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"languages": []}, "languages: expected at least one language"),
        ({"languages": ["ko", "ko"]}, "languages: expected at least one language, each once"),
        ({"hangul": "letters"}, "field `hangul`"),
        ({"updates": 0}, "updates: expected more than 0, got 0"),
        ({"mask_prob": 1.0}, r"mask_prob: expected 0 <= value < 1, got 1\.0"),
        ({"channel_mask_share": 0.6}, r"channel_mask_share: expected 0 < value <= 0\.5, got 0\.6"),
        ({"hold_share": 0.95}, r"hold_share: expected warmup_share \+ hold_share < 1, got 0\.95"),
        ({"final_lr_scale": 0.0}, r"final_lr_scale: expected 0 < value <= 1, got 0\.0"),
        ({"validate_updates": 5, "report_updates": 2}, "validate_updates: must be a multiple of report_updates 2"),
        ({"longest_s": 9.0}, r"longest_s: expected shortest_s 0\.3 < longest_s <= batch_audio_s 8\.0, got 9\.0"),
    ],
)
def test_rules_of_the_section(changes: dict[str, Any], message: str) -> None:
    """A value that breaks a rule is refused with field, rule and value."""
    with pytest.raises(ConfigError, match=message):
        _config(**changes)
