"""What would stop a run, or spoil it, looked at before it takes its GPUs."""
