"""The page on which a person reviews claims: what the server in `vapo.claims.review.server` hands out."""
