"""What a model scores on a suite of published benchmarks, beside published scores and beside another model."""
