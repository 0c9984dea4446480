"""The notifications of merchants by e-mail and SMS. Runs before the deploy."""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

# `contact` and the texts are what is sent, whatever the merchant changes later. `claimed_at` is when the newest attempt
# was committed, before its call.
NOTIFICATIONS = """
CREATE TABLE notifications (
    id                  uuid NOT NULL,
    merchant_id         uuid NOT NULL,
    payment_id          uuid,
    subject_type        text NOT NULL,
    subject_id          uuid NOT NULL,
    event_id            uuid NOT NULL,
    event_type          text NOT NULL,
    pattern             text NOT NULL,
    channel             text NOT NULL,
    contact             text NOT NULL,
    recipient           text NOT NULL,
    title               text,
    body                text NOT NULL,
    correlation_id      text NOT NULL,
    status              text NOT NULL DEFAULT 'pending',
    attempts            smallint NOT NULL DEFAULT 0,
    next_attempt_at     timestamptz,
    claimed_at          timestamptz,
    provider_message_id text,
    error               text,
    created_at          timestamptz NOT NULL DEFAULT now(),
    finished_at         timestamptz,
    -- The id follows from event, channel and contact, so that each of them is told once.
    PRIMARY KEY (id),
    CONSTRAINT notifications_go_by_a_known_channel CHECK (channel IN ('email', 'sms')),
    CONSTRAINT notifications_status_is_known CHECK (
        status IN ('pending', 'sending', 'sent', 'failed', 'unclear')),
    CONSTRAINT notifications_have_a_contact CHECK (length(contact) BETWEEN 1 AND 254),
    CONSTRAINT notifications_only_email_has_a_title CHECK ((channel = 'email') = (title IS NOT NULL)),
    CONSTRAINT notifications_pending_wait CHECK ((status = 'pending') = (next_attempt_at IS NOT NULL)),
    CONSTRAINT notifications_claimed_by_an_attempt CHECK (
        attempts >= 0 AND (attempts = 0) = (claimed_at IS NULL) AND (attempts > 0 OR status IN ('pending', 'failed'))),
    CONSTRAINT notifications_finished CHECK ((status IN ('pending', 'sending')) = (finished_at IS NULL)),
    CONSTRAINT notifications_sent_have_proof CHECK ((status = 'sent') = (provider_message_id IS NOT NULL)),
    CONSTRAINT notifications_ends_say_why CHECK (status NOT IN ('failed', 'unclear') OR error IS NOT NULL),
    -- An e-mail whose outcome is unclear is sent again.
    CONSTRAINT notifications_only_sms_stay_unclear CHECK (status <> 'unclear' OR channel = 'sms')
) PARTITION BY RANGE (id);
CREATE INDEX notifications_by_payment ON notifications (payment_id) WHERE payment_id IS NOT NULL;
-- What has not ended alone, so it stays small however many are kept: the jobs function finds the overdue here.
CREATE INDEX notifications_open ON notifications ((coalesce(next_attempt_at, claimed_at))) WHERE finished_at IS NULL;
CREATE TABLE notifications_default PARTITION OF notifications DEFAULT;
SELECT ensure_partitions(3);
"""


def upgrade() -> None:
    """Add the table and its partitions."""
    op.get_bind().exec_driver_sql(NOTIFICATIONS)
