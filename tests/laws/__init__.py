"""What holds for every input, searched by Hypothesis."""
