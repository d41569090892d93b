"""What packing is worth: two sides in one run, on the same work."""
