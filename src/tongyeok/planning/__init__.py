"""What a training will take before it is started: parameters, memory, arithmetic and hours."""
