"""Where sharded stages compute their parts when not in this process alone; `base/executor.py` is what stages see."""
