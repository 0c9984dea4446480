from __future__ import annotations

from paybridge.outbox.routes import route


class TestRoute:
    def test_new_payments_and_commands_go_to_work_queues_and_outcomes_to_the_topic(self) -> None:
        assert route("payment.created") == route("command.process_payment") == ("payments", "payments.new")
        assert route("payment.succeeded") == ("payments.events", "payment.succeeded")
        assert route("payment.processing")[0] is None

    def test_events_of_refunds_go_to_the_topic_under_their_types(self) -> None:
        for type_ in ("refund.created", "refund.succeeded", "refund.failed", "payment.partially_refunded"):
            assert route(type_) == ("payments.events", type_)
