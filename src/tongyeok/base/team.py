"""The processes that train one model together: one process group, of exactly the size that was launched.

The first of them leads: it alone writes. Without a process group a process is a team of one, so that the same code
trains in one process and in many. Source: torch's `distributed` package.
"""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from jaxtyping import Float
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from tongyeok.base.executor import device_kind
from tongyeok.base.launch import Launch, launched
from tongyeok.errors import ConfigError, TrainingError

ARRIVAL = timedelta(minutes=5)  # between the first and the last process that starts
PATIENCE = timedelta(minutes=30)  # for one that has more to read or to validate than the others; torch's for gloo
GONE = (  # what gloo and NCCL say where another process has ended
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "remote process exit",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Team:
    """The process `rank` of `size`; what several of them do together, all must call in the same order."""

    rank: int
    size: int

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    @property
    def part(self) -> slice:
        """This process's rows of a batch that all have drawn alike."""
        return slice(self.rank, None, self.size)

    def told(self, message: Any) -> Any:  # noqa: ANN401  whatever pickles
        """The leader's `message`, in every process."""
        if self.size == 1:
            return message
        parcel = [message]
        torch.distributed.broadcast_object_list(parcel, src=0)
        return parcel[0]

    def once(self, work: Callable[[], object]) -> None:
        """Let the leader do something, while the others wait for it."""
        if self.leads:
            work()
        if self.size > 1:
            torch.distributed.barrier()

    def agreed(self, value: float) -> float:
        """The leader's `value`, so that all decide alike even where theirs differ in the last bit."""
        if self.size == 1:
            return value
        parcel = torch.tensor([value], dtype=torch.float64, device=_device())
        torch.distributed.broadcast(parcel, src=0)
        return float(parcel)

    def expect_alike(self, step: int, state: Path) -> None:
        """Check that a saved state is that of the same update in every process.

        Raises:
            TrainingError: here it is another than the leader's.
        """
        expected = int(self.agreed(float(step)))
        if step != expected:
            raise TrainingError(
                f"{state} on {socket.gethostname()}: expected the state of update {expected}, which the first process "
                f"sees there, got {step}; the shared file system lags behind: start the same command again"
            )

    def any(self, flags: Sequence[bool]) -> list[bool]:
        """Which of the flags are up in some process."""
        if self.size == 1:
            return list(flags)
        parcel = torch.tensor(flags, dtype=torch.int32, device=_device())
        torch.distributed.all_reduce(parcel, op=torch.distributed.ReduceOp.MAX)
        return [bool(flag) for flag in parcel.tolist()]

    def mean(self, value: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """Mean of a figure over the processes; no gradient passes."""
        value = value.detach()
        if self.size > 1:
            value = value.clone()
            torch.distributed.all_reduce(value)
            value /= self.size
        return value

    def norm(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
        """Euclidean norm over the numbers of all processes.

        Its gradient is for parameters whose gradients are then averaged over the processes: it is that of the mean of
        what every process computes from this one number.
        """
        if self.size == 1:
            alone: Float[Tensor, ""] = value.norm()
            return alone
        own = value.square().sum()
        squares = own.detach().clone()
        torch.distributed.all_reduce(squares)
        root: Float[Tensor, ""] = (squares + self.size * (own - own.detach())).sqrt()
        return root

    def leave(self) -> bool:
        """End the team, all together; whether this process leads, and goes on alone."""
        if self.size > 1:
            torch.distributed.barrier()
            torch.distributed.destroy_process_group()
        return self.leads


ALONE = Team(rank=0, size=1)


def here() -> Team:
    """The team that this process is in.

    Raises:
        TrainingError: this is one of several copies without a process group of all of them: each would train a model
            of its own, to the same files.
    """
    grouped = torch.distributed.is_available() and torch.distributed.is_initialized()
    team = Team(rank=torch.distributed.get_rank(), size=torch.distributed.get_world_size()) if grouped else ALONE
    expected = launched().size
    if expected > 1 and team.size != expected:
        raise TrainingError(
            f"WORLD_SIZE={expected}, but the process group has {team.size} process{'es' * (team.size > 1)}: expected "
            f"all {expected}, or each would train a copy of its own; start a stage by `torchrun … -m tongyeok <stage>`"
            ", which joins them, or unset WORLD_SIZE"
        )
    return team


@contextmanager
def joined(launch: Launch) -> Iterator[Team]:
    """Meet the other processes of a launch: by NCCL with a GPU each where torch finds GPUs, else by gloo.

    Where an error ends this process, NCCL's group is left as it is: an orderly end could wait for the others, which
    wait for this one. Where another has ended, which has said why or of which its launcher tells, the leader says so in
    one line, and the others go in silence.

    Raises:
        ConfigError: there are fewer GPUs than processes on this machine, the processes do not find each other, or they
            compute in different ways.
        TrainingError: another process has ended.
        SystemExit: the same, in a process that does not lead.
    """
    if launch.size == 1:
        yield ALONE
        return
    device = None
    if torch.cuda.is_available():
        found = torch.cuda.device_count()
        wanted = max(launch.local_size, launch.local_rank + 1)
        if wanted > found:
            raise ConfigError(
                f"{wanted} processes on {socket.gethostname()}, and GPUs that torch finds: {found}; "
                f"expected one each; start it with `--nproc-per-node {found}`, or with CUDA_VISIBLE_DEVICES= on CPUs"
            )
        device = torch.device("cuda", launch.local_rank)
        torch.cuda.set_device(device)
    try:
        meeting = rendezvous("env://", launch.rank, launch.size, timeout=ARRIVAL)
        store, rank, size = next(meeting)
        torch.distributed.init_process_group(
            "gloo" if device is None else "nccl",
            store=store,
            rank=rank,
            world_size=size,
            timeout=PATIENCE,
            device_id=device,
        )
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"process {launch.rank} of {launch.size} on {socket.gethostname()} did not meet the others: {error}; look "
            "at MASTER_ADDR and MASTER_PORT, and at the network between the machines"
        ) from error
    whole = False
    try:
        _expect_one_kind(launch)
        yield here()
        whole = True
    except RuntimeError as error:
        if not gone(error):
            raise
        if launch.rank:
            raise SystemExit(2) from None
        said = next(word for word in GONE if word in str(error))
        raise TrainingError(
            f"another process of the training has ended ({said}); it or its launcher says why; the same command goes "
            "on from the last saved state"
        ) from None
    finally:
        # After an error NCCL would wait here for the others; gloo does not, and left alone aborts the interpreter.
        if torch.distributed.is_initialized() and (whole or torch.distributed.get_backend() == "gloo"):
            torch.distributed.destroy_process_group()


def gone(error: Exception) -> bool:
    """Whether an error only says that another process of the team has ended."""
    return isinstance(error, RuntimeError) and any(word in str(error) for word in GONE)


def _expect_one_kind(launch: Launch) -> None:
    """Refuse processes that round sums in different ways: their copies of the model would drift apart.

    Raises:
        ConfigError: there are such; the same error in all.
    """
    kinds: list[tuple[str, str]] = [("", "")] * launch.size
    own = f"{device_kind()}, threads: {torch.get_num_threads()}"
    torch.distributed.all_gather_object(kinds, (socket.gethostname(), own))
    (first, expected), *others = kinds
    for rank, (host, kind) in enumerate(others, start=1):
        if kind != expected:
            raise ConfigError(
                f"process {rank} on {host}: expected what the first process on {first} computes with ({expected}), got "
                f"{kind}; their copies of the model would drift apart; start as many processes on each of machines "
                "that are alike"
            )


def _device() -> torch.device:
    """Where the group's messages must lie."""
    return torch.device("cuda" if torch.distributed.get_backend() == "nccl" else "cpu")
