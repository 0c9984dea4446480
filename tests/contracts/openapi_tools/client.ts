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

function outcome(event: components["schemas"]["PaymentEvent"]): string {
  const payment: components["schemas"]["PaymentView"] = event.data;
  const sequence: number = event.data.sequence;
  return `${payment.payment_id} ${payment.status} ${payment.failure_code ?? ""} ${sequence}`;
}

export { firstPage, largest, nextPage, outcome, smallest };
