"""What a command does with a trained run: measure with `applications`, add to ``metrics.json``, draw figures."""
