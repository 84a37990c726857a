"""The pipeline: one file, one stage, all of one shape: `async (call, proceed) -> Reply`. No stage knows another."""
