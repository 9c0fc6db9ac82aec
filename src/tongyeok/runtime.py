"""What a process has of its machine: threads (section `runtime`), GPUs, and a life no longer than its parent's."""

import ctypes
import os
import signal

from tongyeok import config

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
VISIBLE = "CUDA_VISIBLE_DEVICES"


@config.section
class Runtime:
    """Section `runtime`: what every stage shares."""

    threads: int  # CPU threads of a stage, which torchrun's processes share; results repeat only at a fixed number

    def __post_init__(self) -> None:
        """Check the rules."""
        if self.threads < 1:
            raise ValueError(f"threads: expected at least 1, got {self.threads}")


def pin_threads(threads: int) -> None:
    """Pin the thread count of torch, BLAS and OpenMP, for speed and for repeatable sums."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        os.environ[variable] = str(threads)
    # The forward and the backward pass have threads of their own. Those that rest shall not keep a core busy for long:
    # libgomp's 300,000 turns cost the demo's translator a tenth of its time, none at all cost it more.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    import threadpoolctl  # noqa: PLC0415
    import torch  # noqa: PLC0415

    torch.set_num_threads(threads)
    threadpoolctl.threadpool_limits(threads)


def visible_gpus() -> tuple[str, ...]:
    """What CUDA_VISIBLE_DEVICES calls each GPU that this process may use."""
    if VISIBLE in os.environ:
        return tuple(name.strip() for name in os.environ[VISIBLE].split(",") if name.strip() not in {"", "-1"})
    import torch  # noqa: PLC0415  heavy

    return tuple(str(number) for number in range(torch.cuda.device_count()))


def die_with_parent(sent: signal.Signals = signal.SIGTERM) -> None:
    """Ask the kernel to send this process a signal when the thread that started it ends, whatever the reason."""
    LIBC.prctl(PR_SET_PDEATHSIG, sent)
