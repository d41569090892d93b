"""What the perception reward does to the gradient: exact gradients of single responses, weighed by every setting."""
