"""What a user can do wrong, as exceptions.

Each message says what is wrong, where (utterance, file and line), what was expected, what was found and what to do.
`__main__` prints them without a traceback and exits with status 2.
"""


class TongyeokError(ValueError):
    """A mistake in data, configuration or surroundings that the user can mend."""


class ConfigError(TongyeokError):
    """A value in `params.yaml` or `conf/` that breaks a rule, or a key that is unknown or missing."""


class CorpusError(TongyeokError):
    """Audio, text or tables of a corpus that cannot be used."""


class ManifestError(TongyeokError):
    """A manifest or its identifiers that disagree with the corpus."""


class UnitError(TongyeokError):
    """Units, labels or codebooks that do not belong together, or collapsed."""


class CheckpointError(TongyeokError):
    """A model file that is missing, unsafe, or made for other data."""


class TrainingError(TongyeokError):
    """A training that cannot go on: diverged, or nothing to learn from."""


class UnstableError(TrainingError):
    """A training whose loss or gradient got out of hand, which all its processes see alike."""


class EvaluationError(TongyeokError):
    """A test set, transcript or score that cannot be computed honestly."""
