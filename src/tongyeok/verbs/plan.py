"""Show what each training of a profile takes: parameters, material per update, memory, and hours on a stated GPU.

A dry run: models are built at their true size and run one step on tensors without numbers, which takes seconds. What
the figures cover is told in `tongyeok.planning.cost`.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tongyeok.errors import ConfigError

if TYPE_CHECKING:
    from tongyeok.planning.cost import Gpu, Training

A100_BFLOAT16, A100_FLOAT32 = 312.0, 19.5  # TFLOP/s, dense; NVIDIA A100 data sheet (2021)
UTILISATION = 0.3  # assumed; PaLM (Chowdhery et al. 2022, table 3) lists 21 to 46 % for far larger models
SENTENCE_TOKENS = 200  # assumed: 8 s of speech at 25 distinct units a second
GIB = 1 << 30


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--profile", default="paper", help="of conf/ (default: paper)")
    source.add_argument("--params", type=Path, metavar="FILE", help="composed parameters instead of a profile")
    parser.add_argument("--conf", type=Path, default=Path("conf"), metavar="FOLDER")
    parser.add_argument(
        "--gpu-tflops", type=float, default=A100_BFLOAT16, help=f"dense bfloat16 peak ({A100_BFLOAT16:g}: NVIDIA A100)"
    )
    parser.add_argument(
        "--gpu-float32-tflops", type=float, default=A100_FLOAT32, help=f"float32 peak ({A100_FLOAT32:g}: NVIDIA A100)"
    )
    parser.add_argument(
        "--utilisation", type=float, default=UTILISATION, help=f"share of the peak reached ({UTILISATION:g}, assumed)"
    )
    parser.add_argument(
        "--sentence-tokens", type=int, default=SENTENCE_TOKENS, help=f"of a side ({SENTENCE_TOKENS}, assumed)"
    )
    parser.add_argument("--json", action="store_true", help="print figures in bytes, operations and hours")


def main(args: argparse.Namespace) -> int:
    """Print the plan.

    Raises:
        ConfigError: the parameters break rules, or a rate is not above 0.
    """
    from tongyeok.planning.cost import Gpu  # noqa: PLC0415  keeps `--help` light
    from tongyeok.planning.trainings import plan  # noqa: PLC0415

    for name in ("gpu_tflops", "gpu_float32_tflops", "utilisation", "sentence_tokens"):
        if getattr(args, name) <= 0:
            raise ConfigError(f"--{name.replace('_', '-')}: expected more than 0, got {getattr(args, name)}")
    gpu = Gpu(bfloat16_tflops=args.gpu_tflops, float32_tflops=args.gpu_float32_tflops, utilisation=args.utilisation)
    trainings = plan(read(args), sentence_tokens=args.sentence_tokens)
    if args.json:
        print(json.dumps({"trainings": [figures(training, gpu) for training in trainings]}, indent=2))
    else:
        print(table(trainings, gpu))
        print(
            "\nGiB: weights, gradients, Adam's averages, what is kept of a batch for the backward pass, and their sum"
            f"\nhours: one GPU of {gpu.bfloat16_tflops:g} (float32: {gpu.float32_tflops:g}) TFLOP/s used to "
            f"{100 * gpu.utilisation:g} % (assumed); sentences of {args.sentence_tokens} tokens a side (assumed)"
        )
    return 0


def read(args: argparse.Namespace) -> dict[str, Any]:
    """The sections of the profile, composed and checked, or of the params file."""
    from tongyeok import config  # noqa: PLC0415
    from tongyeok.verbs import params  # noqa: PLC0415

    if args.params is not None:
        return config.read_params(args.params)
    composed = params.compose(args.conf, args.profile)
    params.validate(composed)
    return composed


def figures(training: "Training", gpu: "Gpu") -> dict[str, float | str]:
    """One training for programs: bytes, operations of a whole update, hours."""
    return {
        "name": training.name,
        "parameters": training.parameters,
        "updates": training.updates,
        "amount_per_update": training.amount,
        "unit": training.unit,
        "products": training.products,
        "weights_bytes": training.weights_bytes,
        "gradients_bytes": training.gradients_bytes,
        "adam_bytes": training.adam_bytes,
        "kept_bytes": training.kept_bytes,
        "memory_bytes": training.memory_bytes,
        "flops_per_update": training.flops,
        "hours": training.hours(gpu),
    }


def table(trainings: Sequence["Training"], gpu: "Gpu") -> str:
    """The trainings for a terminal, memory in GiB."""
    columns = (11, 10, 9, 21, 9, 8, 6, 5, 6, 6, 7)
    heads = ("training", "parameters", "updates", "per update", "products")
    lines: list[tuple[str, ...]] = [(*heads, "weights", "grads", "Adam", "kept", "GiB", "hours")]
    for training in trainings:
        parts = (training.weights_bytes, training.gradients_bytes, training.adam_bytes, training.kept_bytes)
        lines.append(
            (
                training.name,
                f"{training.parameters / 1e6:.2f} M",
                str(training.updates),
                f"{training.amount:g} {training.unit}",
                training.products,
                *(f"{part / GIB:.2f}" for part in (*parts, training.memory_bytes)),
                f"{training.hours(gpu):.1f}",
            )
        )
    return "\n".join(
        " ".join(cell.rjust(width) if place else cell.ljust(width) for place, (cell, width) in enumerate(row))
        for row in (list(zip(line, columns, strict=True)) for line in lines)
    )
