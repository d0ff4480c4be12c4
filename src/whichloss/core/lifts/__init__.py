"""The plain lifts, one file each: what prepares margins, log-probabilities, region sums and residuals."""
