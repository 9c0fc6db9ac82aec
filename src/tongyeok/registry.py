"""The table of contents: every stage of the flow in pipeline order, and the verbs, which are clients of stages.

One name everywhere: the stage's name here is its name in `dvc.yaml`, its module, its section in `params.yaml`, its
group in `conf/`, its folder under `outputs/`, its sub-command and its test file.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One stage of the flow.

    `per_iteration` stages run once per HuBERT iteration and are called `name@i`. `on_demand` stages run under `dvc
    repro` only where a later stage's parameters ask for them (section `flow`). `sharded` stages compute where `--on`
    says; `parallel` ones train in as many processes as torchrun starts, and any other runs in one. Stages with an
    `experiment` are logged as runs of that MLflow experiment.
    """

    name: str
    module: str
    per_iteration: bool = False
    on_demand: bool = False
    sharded: bool = False
    experiment: str | None = None
    parallel: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Verb:
    """A command beside the flow: its module has `configure(parser)` and `main(args) -> int`."""

    name: str
    module: str


STAGES = (
    Stage(name="corpus", module="tongyeok.corpus.corpus"),
    Stage(name="manifest", module="tongyeok.corpus.manifest"),
    Stage(name="kmeans", module="tongyeok.speech2unit.kmeans", per_iteration=True),
    Stage(name="labels", module="tongyeok.speech2unit.labels", per_iteration=True, sharded=True),
    Stage(name="hubert", module="tongyeok.speech2unit.hubert", per_iteration=True, experiment="hubert", parallel=True),
    Stage(name="units", module="tongyeok.speech2unit.units", sharded=True),
    Stage(name="unit_health", module="tongyeok.speech2unit.unit_health", experiment="unit_health"),
    Stage(name="bitext", module="tongyeok.unit2unit.bitext"),
    Stage(name="translator", module="tongyeok.unit2unit.translator", experiment="translator", parallel=True),
    Stage(name="vocoder", module="tongyeok.unit2speech.vocoder", experiment="vocoder", parallel=True),
    Stage(
        name="recognizer",
        module="tongyeok.recognizer.recognizer",
        on_demand=True,
        experiment="recognizer",
        parallel=True,
    ),
    Stage(name="translate_test", module="tongyeok.evaluation.translate_test", sharded=True),
    Stage(name="evaluate", module="tongyeok.evaluation.evaluate", experiment="evaluate"),
)

VERBS = (
    Verb(name="params", module="tongyeok.verbs.params"),
    Verb(name="adopt", module="tongyeok.verbs.adopt"),
    Verb(name="scores", module="tongyeok.verbs.scores"),
    Verb(name="timings", module="tongyeok.verbs.timings"),
    Verb(name="plan", module="tongyeok.verbs.plan"),
    Verb(name="translate", module="tongyeok.verbs.translate"),
    Verb(name="resynthesis", module="tongyeok.verbs.resynthesis"),
    Verb(name="compare_units", module="tongyeok.verbs.compare_units"),
    Verb(name="tune", module="tongyeok.verbs.tune"),
    Verb(name="export", module="tongyeok.verbs.export"),
    Verb(name="exchange", module="tongyeok.verbs.exchange"),
    Verb(name="cluster", module="tongyeok.verbs.cluster"),
    Verb(name="relocate", module="tongyeok.verbs.relocate"),
)

BY_NAME = {stage.name: stage for stage in STAGES}
PARALLEL = ", ".join(stage.name for stage in STAGES if stage.parallel)


def called(listed: str) -> str:
    """How `tongyeok` calls a stage that DVC lists: on-demand stages are items to DVC and have no iteration here."""
    name = listed.partition("@")[0]
    return name if name in BY_NAME and BY_NAME[name].on_demand else listed
