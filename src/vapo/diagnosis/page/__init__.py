"""The page that shows a diagnosis: one HTML file that opens offline."""
