"""Which events an audit expects a consumer to have worked on: the condition that the statements of consumers share."""

from __future__ import annotations

from paybridge.core.events import PAYMENT_SUBJECT
from paybridge.outbox.routes import EVENTS_EXCHANGE

# Rows of `outbox o` with ids above `after` up to `last`, of types that the queue gets by the expression `taken`. What
# was published within the grace may be on its way.
PUBLISHED = f"""
    o.id > :after::uuid AND o.id <= :last::uuid AND o.exchange = '{EVENTS_EXCHANGE}' AND o.sequence IS NOT NULL
    AND o.type ~ :taken::text
    AND o.published_at < now() - make_interval(secs => :grace_seconds::double precision)
"""
# The columns by which a gap names the event and its subject.
AUDITED = f"""
    o.id, o.type, o.merchant_id, coalesce(o.subject_type, '{PAYMENT_SUBJECT}') AS subject_type,
    coalesce(o.subject_id, o.payment_id) AS subject_id
"""
