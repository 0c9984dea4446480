// What a merchant writes first: the smallest request, and what the answer and a webhook hold.
import type { components, operations } from "./api";

const smallest: components["schemas"]["PaymentRequest"] = { amount: "100.50", currency: "RUB" };

const largest: components["schemas"]["PaymentRequest"] = {
  ...smallest,
  capture: "automatic",
  customer: null,
  description: "Order #123",
  metadata: { order_id: "123" },
  payment_method: "tok_success",
  webhook_url: "https://example.com/webhook",
};

const firstPage: operations["listPayments"]["parameters"]["query"] = {};
const nextPage: operations["listPayments"]["parameters"]["query"] = { cursor: "abc", limit: 100, status: "failed" };

const allThatIsLeft: components["schemas"]["RefundRequest"] = {};
const part: components["schemas"]["RefundRequest"] = { amount: "30.00", metadata: { return_id: "R-7" }, reason: "Damaged" };
const captured: components["schemas"]["CaptureRequest"] = { amount: "80.00" };
const canceled: components["schemas"]["CancelRequest"] = { reason: null };
const refundsOfPayment: operations["listRefunds"]["parameters"]["query"] = { payment_id: "abc", status: "failed" };

type PaymentEvent = components["schemas"]["PaymentSucceededEvent"] | components["schemas"]["PaymentFailedEvent"];
type RefundEvent = components["schemas"]["RefundSucceededEvent"] | components["schemas"]["RefundFailedEvent"];

function outcome(event: PaymentEvent): string {
  const payment: components["schemas"]["PaymentView"] = event.data;
  const sequence: number = event.data.sequence;
  return `${payment.payment_id} ${payment.status} ${payment.failure_code ?? ""} ${sequence}`;
}

function given(event: RefundEvent): string {
  const refund: components["schemas"]["RefundView"] = event.data;
  return event.type === "refund.failed" ? `${event.data.failure_code}` : `${refund.amount} ${refund.currency}`;
}

export { allThatIsLeft, canceled, captured, firstPage, given, largest, nextPage, outcome, part, refundsOfPayment, smallest };
