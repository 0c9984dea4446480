"""The books: every payment, refund and payout as transfers between accounts, posted from events alone."""
