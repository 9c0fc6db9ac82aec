"""What users rely on: the composed parameters and the command line."""

import pytest

from architecture import cli
from architecture.closure import ROOT
from tongyeok.verbs import params

PROFILES = ("demo", "toy", "base", "paper", "prompts")


def test_params_are_the_composed_demo() -> None:
    """The committed params.yaml is what `tongyeok params` composes from conf/, to the byte."""
    composed = params.compose(ROOT / "conf", "demo")
    expected = params.render(composed, profile="demo", overrides=[])
    assert (ROOT / "params.yaml").read_text(encoding="utf-8") == expected


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_is_valid(profile: str) -> None:
    """Each profile composes, and every value in it obeys the rules of its stage."""
    params.validate(params.compose(ROOT / "conf", profile))


def test_the_command_line_is_frozen() -> None:
    """Stages, verbs and flags stay as they are, or `python tests/architecture/cli.py` is run on purpose."""
    assert cli.describe() == cli.FROZEN.read_text(encoding="utf-8")
