"""vapo inside VLMEvalKit, the paper's harness, which has no plug-ins: a model entry, and a way to start with it."""
