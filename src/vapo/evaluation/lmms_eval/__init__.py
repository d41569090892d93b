"""vapo inside lmms-eval: its suites as tasks, its way of running a model as a model, and the harness run from here."""
