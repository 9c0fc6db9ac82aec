"""Compare units of HuBERT, after few and many updates, with units of MFCC at equal K: phones, and resynthesis.

Every contender gets a codebook, units, a vocoder and a page of its own below --outputs, by the stages of the flow.
What lies there is not made again, so an interrupted comparison goes on, and a contender can be added later.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tongyeok import config, runner
from tongyeok.registry import BY_NAME


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--hubert", type=Path, nargs="+", default=[], metavar="FOLDER", help="outputs of the stage")
    parser.add_argument("--languages", type=lambda value: value.split(","), metavar="LANG,…", help="default: all heard")
    parser.add_argument(
        "--mfcc-smoothing",
        type=lambda value: [int(passes) for passes in value.split(",")],
        default=[0, 1, 2, 4, 8],
        metavar="PASSES,…",
        help="over the time of MFCC, to choose from by PNMI (default: 0,1,2,4,8)",
    )
    parser.add_argument("--vocoder-updates", type=int, default=500, metavar="N", help="of each vocoder (default: 500)")
    for stage in ("corpus", "manifest"):
        parser.add_argument(f"--{stage}", type=Path, default=Path("outputs") / stage, metavar="FOLDER")
    parser.add_argument("--outputs", type=Path, default=Path("outputs/compare_units"), metavar="FOLDER")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="FILE")


def main(args: argparse.Namespace) -> int:
    """Make what is missing of each contender, and write and print the table.

    Raises:
        TongyeokError: inputs are missing or do not belong together, or --outputs was made with other settings.
    """
    from tongyeok.evaluation import unit_comparison, unit_study  # noqa: PLC0415  keeps `--help` light
    from tongyeok.evaluation.evaluate import EvaluateConfig  # noqa: PLC0415

    params = config.read_params(args.params)
    sections = {
        name: config.pick(params, name, None, path=args.params)
        for name in ("flow", "kmeans", "units", "vocoder", "evaluate", "runtime")
    }
    last = params["flow"]["last"]

    def run_stage(name: str, outputs: Path, inputs: Mapping[str, Path], settings: Sequence[str]) -> None:
        stage = BY_NAME[name]
        runner.execute(
            stage,
            item=last if stage.per_iteration else None,
            inputs=runner.interface(stage).inputs(**inputs),
            outputs=outputs,
            params_path=args.params,
            settings=settings,
            since=time.time(),
        )

    study = unit_study.Study.begin(
        args.outputs,
        corpus=args.corpus,
        manifest=args.manifest,
        languages=args.languages,
        vocoder_updates=args.vocoder_updates,
        sections=sections,
        evaluate=config.build(EvaluateConfig, sections["evaluate"], where=f"{args.params}: evaluate"),
        run_stage=run_stage,
    )
    huberts = [study.hubert(folder, minutes=minutes(folder)) for folder in args.hubert]
    tried = [study.mfcc(passes) for passes in args.mfcc_smoothing]
    baseline = study.choose(tried)
    rows = [row for contender in (baseline, *huberts) for row in study.rows(contender, baseline=baseline)]
    facts = study.method(tried, baseline)
    unit_comparison.write(args.outputs, rows, method=facts)
    print(unit_comparison.markdown(rows, method=facts))
    return 0


def minutes(folder: Path) -> float | None:
    """How long the stage took that wrote `folder`, by the journal of timings; of an interrupted one its last part."""
    rows = runner.read_timings(runner.TIMINGS)
    found = [row["seconds"] for row in rows if Path(row.get("outputs", "")).resolve() == folder.resolve()]
    return found[-1] / 60 if found else None
