"""What started this process: torchrun, or anything else that sets its variables, says which of how many it is.

Reads the environment only, and imports nothing heavy.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from tongyeok.errors import ConfigError

MEETING = ("RANK", "MASTER_ADDR", "MASTER_PORT")  # besides WORLD_SIZE, what processes need to find each other


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """One of `size` copies of a command; `local_rank` counts the `local_size` copies on this machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    def threads(self, configured: int) -> int:
        """This process's share of the machine's configured CPU threads; at least 1."""
        return max(1, configured // self.local_size)


def launched(environment: Mapping[str, str] | None = None) -> Launch:
    """How this process was started; where nothing says otherwise, as the only one.

    Args:
        environment: its variables; `os.environ` if not given.

    Raises:
        ConfigError: a variable is no number, or there are several copies and one lacks what they would meet by.
    """
    given = os.environ if environment is None else environment
    size = _number(given, "WORLD_SIZE", 1)
    if size <= 1:
        return Launch()
    missing = [name for name in MEETING if not given.get(name)]
    if missing:
        raise ConfigError(
            f"WORLD_SIZE={size} says that this is one of {size} processes, but {', '.join(missing)} is not set; start "
            "it by `torchrun --nproc-per-node <processes> -m tongyeok …`, or unset WORLD_SIZE"
        )
    if _number(given, "MASTER_PORT", 0) < 1:
        raise ConfigError(f"MASTER_PORT: expected a port, got {given['MASTER_PORT']}; give torchrun `--standalone`")
    rank = _number(given, "RANK", 0)
    if not 0 <= rank < size:
        raise ConfigError(f"RANK: expected 0 to {size - 1} (WORLD_SIZE={size}), got {rank}; start it by `torchrun`")
    return Launch(
        rank=rank,
        size=size,
        local_rank=_number(given, "LOCAL_RANK", 0),
        local_size=_number(given, "LOCAL_WORLD_SIZE", 1),
    )


def expect_one(command: str, *, shared: str) -> None:
    """Refuse to be one of several copies of a command that does not share its work among them.

    Args:
        command: what was called.
        shared: the stages that do.

    Raises:
        ConfigError: this is one of several copies.
    """
    size = launched().size
    if size > 1:
        raise ConfigError(
            f"`{command}` runs in one process, but WORLD_SIZE={size}: {size} copies of it would do the same work over; "
            f"start it without torchrun, which is for {shared}"
        )


def _number(given: Mapping[str, str], name: str, default: int) -> int:
    value = given.get(name) or str(default)
    try:
        return int(value)
    except ValueError:
        raise ConfigError(f"{name}: expected a whole number, got {value!r}; start it by `torchrun`") from None
