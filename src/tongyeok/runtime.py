"""What a process has of its machine: threads (section `runtime`), GPUs, and a life no longer than its parent's."""

import ctypes
import multiprocessing
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


def thread_variables(threads: int) -> dict[str, str]:
    """What must stand in a process's environment before it imports what multiplies."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return dict.fromkeys(names, str(threads))


def shared_threads(threads: int, processes: int) -> int:
    """Threads of each of several processes on this machine: no more than asked for, nor than there are cores for."""
    return max(1, min(threads, len(os.sched_getaffinity(0)) // processes))


def pin_threads(threads: int) -> None:
    """Pin the thread count of torch, BLAS and OpenMP, for speed and for repeatable sums."""
    os.environ.update(thread_variables(threads))
    # The forward and the backward pass have threads of their own. Those that rest shall not keep a core busy for long:
    # libgomp's 300,000 turns cost the demo's translator a tenth of its time, none at all cost it more.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    import threadpoolctl  # noqa: PLC0415
    import torch  # noqa: PLC0415

    torch.set_num_threads(threads)
    threadpoolctl.threadpool_limits(threads)


def visible_gpus() -> tuple[str, ...]:
    """What CUDA_VISIBLE_DEVICES calls each GPU that torch finds; none where it finds none."""
    import torch  # noqa: PLC0415  heavy

    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get(VISIBLE, "").split(",") if name.strip()]
    return tuple(named[:count] or map(str, range(count)))


def die_with_parent(sent: signal.Signals = signal.SIGTERM) -> None:
    """Ask the kernel to send this process a signal when the thread that started it ends, whatever the reason."""
    LIBC.prctl(PR_SET_PDEATHSIG, sent)


def end_with_parent() -> None:
    """Begin a process of a pool: it ends at once when the one that made it does, and leaves Ctrl-C to that one."""
    die_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    maker = multiprocessing.parent_process()
    if maker is not None and os.getppid() != maker.pid:  # it ended before the kernel was asked
        os._exit(1)
