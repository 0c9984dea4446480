"""What the checks of invariants have found."""
