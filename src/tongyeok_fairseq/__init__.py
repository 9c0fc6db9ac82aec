"""The room: all code that imports fairseq. It is also fairseq's `--user-dir`.

Importing it registers this project's tasks, models and criteria with fairseq and lets fairseq's own `torch.load` read
its checkpoints safely. fairseq imports a user dir by its bare folder name, which is this package's name.
"""

import logging
import warnings

root = logging.getLogger()
handlers, level, disabled = list(root.handlers), root.level, root.manager.disable
logging.disable(logging.INFO)  # while it is imported, fairseq configures the root logger and talks through it
with warnings.catch_warnings():  # and warns under torch 2.13
    warnings.filterwarnings("ignore", message=r"`torch\.jit\.script` is deprecated", category=DeprecationWarning)
    from tongyeok_fairseq import hubert_model, hubert_task, safety
logging.disable(disabled)
root.handlers[:] = handlers
root.setLevel(level)

__all__ = ["hubert_model", "hubert_task", "safety"]

safety.allow_safe_globals()
