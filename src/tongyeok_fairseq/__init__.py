"""The room: all code that imports fairseq. It is also fairseq's `--user-dir`.

Importing it registers this project's tasks, models and criteria with fairseq and lets fairseq's own `torch.load` read
its checkpoints safely. fairseq imports a user dir by its bare folder name, which is this package's name.
"""

import logging
import warnings

root = logging.getLogger()
handlers, level = list(root.handlers), root.level
with warnings.catch_warnings():  # fairseq 0.12 warns so while it is imported under torch 2.13
    warnings.filterwarnings("ignore", message=r"`torch\.jit\.script` is deprecated", category=DeprecationWarning)
    from tongyeok_fairseq import hubert_model, hubert_task, safety
root.handlers[:] = handlers  # fairseq configures the root logger by the way
root.setLevel(level)

__all__ = ["hubert_model", "hubert_task", "safety"]

safety.allow_safe_globals()
