"""Composing `params.yaml` from Hydra groups."""

import argparse
from pathlib import Path

import pytest
import yaml

from tongyeok.errors import ConfigError
from tongyeok.verbs import params


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """Two profiles of a flow with one HuBERT iteration."""
    groups = {
        "runtime": "threads: {n}",
        "kmeans": '"0": {{source: manifest, clusters: {n}}}\n"1": {{source: hubert/1, clusters: {n}}}',
        "labels": '"0": {{switch_penalty: 0.0}}',
        "hubert": '"1": {{previous: 0, updates: {n}}}',
    }
    folder = tmp_path / "conf"
    for number, profile in enumerate(("small", "large"), start=1):
        for group, text in groups.items():
            (folder / group).mkdir(parents=True, exist_ok=True)
            (folder / group / f"{profile}.yaml").write_text(text.format(n=number) + "\n")
        defaults = "".join(f"  - {group}: {profile}\n" for group in groups)
        (folder / f"{profile}.yaml").write_text("defaults:\n" + defaults)
    return folder


def test_composes_a_profile_in_pipeline_order(conf: Path) -> None:
    """The sections stand in pipeline order, runtime first and the derived flow last."""
    composed = params.compose(conf, "small")
    assert list(composed) == ["runtime", "kmeans", "labels", "hubert", "flow"]
    assert composed["kmeans"]["1"] == {"source": "hubert/1", "clusters": 1}


def test_overrides_groups_and_fields(conf: Path) -> None:
    """A group of another profile and a single field of an iteration can be chosen."""
    composed = params.compose(conf, "small", ["hubert=large", "kmeans.1.clusters=7"])
    assert composed["hubert"]["1"]["updates"] == 2
    assert composed["kmeans"]["1"]["clusters"] == 7
    assert composed["kmeans"]["0"]["clusters"] == 1


def test_derives_the_flow_of_three_iterations() -> None:
    """kmeans@i and labels@i use features of hubert@i, iteration 0 MFCC; the units come from the last iteration."""
    sections = {
        "kmeans": {str(i): {"source": f"hubert/{i}" if i else "manifest"} for i in range(4)},
        "labels": {str(i): {} for i in range(3)},
        "hubert": {str(i): {"previous": i - 1} for i in range(1, 4)},
    }
    flow = params.flow(sections)
    assert flow["last"] == "3"
    assert flow["kmeans"]["0"] == {"source": "manifest", "inputs": {"manifest": "outputs/manifest"}}
    assert flow["kmeans"]["3"]["source"] == "hubert/3"
    assert flow["kmeans"]["3"]["inputs"] == {"manifest": "outputs/manifest", "hubert": "outputs/hubert/3"}
    assert flow["labels"] == {i: flow["kmeans"][i] for i in ("0", "1", "2")}


def test_the_recogniser_is_part_of_the_flow_where_it_is_asked_for() -> None:
    """Named languages bring the stage, from the last HuBERT, and `evaluate` its folder; otherwise there is neither."""
    sections = {
        "kmeans": {"0": {"source": "manifest"}, "1": {"source": "hubert/1"}},
        "labels": {"0": {}},
        "hubert": {"1": {"previous": 0}},
    }
    for asked, stages in (([], []), (["ko"], ["1"])):
        flow = params.flow({**sections, "evaluate": {"asr": {"recognizer": asked}}})
        assert flow["recognizer"] == stages
        assert flow["judge"]["inputs"] == ({"recognizer": "outputs/recognizer"} if asked else {})
        assert flow["judge"]["depends"].startswith("outputs/recognizer" if asked else "outputs/translate_test/")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["~kmeans.1"], "kmeans: with 1 HuBERT iterations expected the iterations 0, 1 .* got 0"),
        (["+labels.1={switch_penalty: 0.0}"], "labels: with 1 HuBERT iterations expected the iterations 0 .* got 0, 1"),
        (["kmeans.1.source=manifest"], "kmeans.1.source: expected 'hubert/1', got 'manifest'"),
        (["hubert.1.previous=1"], "hubert.1.previous: expected 0, got 1"),
        (["kmeans.1.cluster=7"], "profile 'small' does not compose: .*cluster"),
        (["hubert=huge"], "profile 'small' does not compose: .*huge"),
    ],
)
def test_refuses_what_does_not_hang_together(conf: Path, overrides: list[str], message: str) -> None:
    """Missing and surplus iterations, a wrong source, unknown fields and groups are named."""
    with pytest.raises(ConfigError, match=message):
        params.compose(conf, "small", overrides)


def test_names_the_profiles_there_are(conf: Path) -> None:
    """An unknown profile is answered with the known ones."""
    with pytest.raises(ConfigError, match=r"huge\.yaml: no such profile; .* has: large, small"):
        params.compose(conf, "huge")


def test_renders_what_reads_back(conf: Path) -> None:
    """The text reads back as the sections, repeats, has no anchors and tells the command."""
    composed = params.compose(conf, "small")
    text = params.render(composed, profile="small", overrides=["hubert=large"])
    assert yaml.safe_load(text) == composed
    assert text == params.render(params.compose(conf, "small"), profile="small", overrides=["hubert=large"])
    assert "tongyeok params --profile small hubert=large\n" in text
    assert "&" not in text


def test_check_compares_and_writes_nothing(
    conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--check` exits with 1 and a difference for a stale file, with 0 for a fresh one."""
    monkeypatch.setattr(params, "validate", lambda _params: None)
    file = tmp_path / "params.yaml"

    def run(*words: str) -> int:
        parser = argparse.ArgumentParser()
        params.configure(parser)
        return params.main(
            parser.parse_args([*words, "--profile", "small", "--conf", str(conf), "--params", str(file)])
        )

    assert run("--check") == 1
    assert not file.exists()
    assert run() == 0
    assert run("--check") == 0
    assert run("runtime.threads=5", "--check") == 1
    assert "-runtime: {threads: 1}\n+runtime: {threads: 5}\n" in capsys.readouterr().out


def test_validates_every_section() -> None:
    """Missing and unknown sections, and values that break a rule, are told together."""
    with pytest.raises(ConfigError) as caught:
        params.validate({"runtime": {"threads": 0}, "flow": {}, "more": {}, "labels": {"0": {"switch_penalty": "x"}}})
    message = str(caught.value)
    for part in (
        "section `corpus` is missing",
        "section `more` is unknown",
        "labels.0: field `switch_penalty`",
        "threads: expected at least 1, got 0",
    ):
        assert part in message
