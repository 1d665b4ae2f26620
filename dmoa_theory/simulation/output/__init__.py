"""What a simulated figure is worth: warm-up, batches, intervals, percentiles."""
