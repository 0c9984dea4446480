"""What Paybridge is compared with: small programs, each the way its users write it, no slower than need be."""
