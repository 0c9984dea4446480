"""The notifier function: sends merchants e-mails and SMS about their events."""
