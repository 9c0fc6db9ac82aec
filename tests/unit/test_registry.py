"""The table of contents."""

from tongyeok.registry import BY_NAME, STAGES, VERBS


def test_names_are_unique() -> None:
    """No stage or verb shares its name with another: they share one command line."""
    names = [entry.name for entry in (*STAGES, *VERBS)]
    assert len(names) == len(set(names))
    assert list(BY_NAME) == [stage.name for stage in STAGES]


def test_a_stage_is_called_as_its_module() -> None:
    """The last part of the module path is the name."""
    assert [entry.name for entry in (*STAGES, *VERBS)] == [
        entry.module.rpartition(".")[2] for entry in (*STAGES, *VERBS)
    ]
