"""What was tried in the small world of `vapo.lab`: how its models came to be, and what ways of training do there."""
