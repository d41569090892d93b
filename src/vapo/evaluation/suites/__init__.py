"""Published benchmarks: how a row is put as a question, how its answer is graded, how grades become a score."""
