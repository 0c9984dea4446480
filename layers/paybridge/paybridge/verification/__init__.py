"""Every invariant of the books, the outbox and the payments, checked from outside of them."""
