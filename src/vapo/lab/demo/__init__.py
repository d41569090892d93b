"""The demo: GRPO and VAPO from one checkpoint, side by side, and the page that compares them."""
