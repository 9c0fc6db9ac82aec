"""The strict loader of `params.yaml`."""

from pathlib import Path

import pytest

from tongyeok import config
from tongyeok.errors import ConfigError


@config.section
class Inner:
    """A nested group of fields."""

    rate: float


@config.section
class Outer:
    """A section with a rule and a nested group."""

    clusters: int
    layer: int | None
    inner: Inner
    betas: tuple[float, float]

    def __post_init__(self) -> None:
        """Check the rule."""
        if self.clusters < 2:
            raise ValueError(f"clusters: expected at least 2, got {self.clusters}; raise it")


GOOD = {"clusters": 4, "layer": None, "inner": {"rate": 0.5}, "betas": [0.9, 0.98]}


def test_builds_nested_sections_from_plain_values() -> None:
    """Plain YAML values become frozen dataclasses, lists become tuples."""
    built = config.build(Outer, GOOD, where="here")
    assert built == Outer(clusters=4, layer=None, inner=Inner(rate=0.5), betas=(0.9, 0.98))
    with pytest.raises(AttributeError):
        built.clusters = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cluster": 4}, "unknown field `cluster`: remove it or correct its name"),
        ({"clusters": "4"}, "field `clusters`: Input should be a valid integer, got '4'"),
        ({"clusters": 4.5}, "field `clusters`: "),
        ({"clusters": True}, "field `clusters`: "),
        ({"clusters": 1}, "clusters: expected at least 2, got 1; raise it"),
        ({"inner": {"rate": 0.5, "more": 1}}, "unknown field `inner.more`"),
        ({"inner": {}}, "field `inner.rate` is missing"),
        ({"betas": [0.9]}, "field `betas"),
    ],
)
def test_names_what_does_not_fit(change: dict[str, object], message: str) -> None:
    """Unknown, missing, ill-typed and rule-breaking fields are refused by name, with the section they stand in."""
    with pytest.raises(ConfigError) as caught:
        config.build(Outer, GOOD | change, where="params.yaml: outer")
    assert str(caught.value).startswith("params.yaml: outer: ")
    assert message in str(caught.value)


def test_names_missing_fields_and_how_to_get_them() -> None:
    """A missing field is named, and the command that composes a complete file too."""
    values = {key: value for key, value in GOOD.items() if key != "layer"}
    with pytest.raises(ConfigError, match=r"field `layer` is missing: add it \(run `tongyeok params`"):
        config.build(Outer, values, where="here")


def test_reports_every_mistake_at_once() -> None:
    """Two mistakes in one section are told in one message."""
    with pytest.raises(ConfigError, match=r"clusters.*; .*`more`"):
        config.build(Outer, GOOD | {"clusters": "x", "more": 1}, where="here")


def test_reads_only_mappings(tmp_path: Path) -> None:
    """A missing file and a file that is not a mapping are refused with the path."""
    path = tmp_path / "params.yaml"
    with pytest.raises(ConfigError, match=r"params\.yaml: no such file; run `tongyeok params`"):
        config.read_params(path)
    path.write_text("- 1\n")
    with pytest.raises(ConfigError, match="expected a mapping of sections, got list"):
        config.read_params(path)


def test_picks_sections_and_iterations() -> None:
    """Missing sections and iterations are named, with those that exist."""
    params = {"kmeans": {"0": {"clusters": 4}}, "units": {"x": 1}}
    path = Path("params.yaml")
    assert config.pick(params, "units", None, path=path) == {"x": 1}
    assert config.pick(params, "kmeans", "0", path=path) == {"clusters": 4}
    with pytest.raises(ConfigError, match="section `vocoder` is missing"):
        config.pick(params, "vocoder", None, path=path)
    with pytest.raises(ConfigError, match="section `kmeans` has no iteration '2'; it has: 0"):
        config.pick(params, "kmeans", "2", path=path)


def test_overrides_existing_fields_only() -> None:
    """`--set` takes YAML values, and refuses paths that do not exist."""
    params: dict[str, object] = {"kmeans": {"0": {"clusters": 4, "layer": 1}}}
    config.override(params, ["kmeans.0.clusters=8", "kmeans.0.layer=null"])
    assert params == {"kmeans": {"0": {"clusters": 8, "layer": None}}}
    for wrong in ("kmeans.0.cluster=8", "kmeans.1.clusters=8", "kmeans.0.clusters", "kmeans.0.clusters.x=1"):
        with pytest.raises(ConfigError, match=r"--set .*: expected `section\.field=value` with an existing field"):
            config.override(params, [wrong])
