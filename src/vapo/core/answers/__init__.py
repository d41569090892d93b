"""Answers as people write them: cleaned, read as a typed value, compared by the rule of the reference's type."""
