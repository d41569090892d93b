"""The page of the demo: one HTML file that opens offline."""
