// Create a payment, wait for its outcome, and refund a part of it. Needs Node.js 18 and no packages.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

const API = (process.env.PAYBRIDGE_URL ?? "http://127.0.0.1:8000") + "/api/v1";
const API_KEY = process.env.PAYBRIDGE_API_KEY ?? "secret-api-key";
const WEBHOOK_URL = process.env.WEBHOOK_URL ?? "http://127.0.0.1:8099/";
const TRIES_MAX = 8;
const AGAIN = new Set([429, 500, 502, 503, 504]);

/** Send a request until it is answered. With the same idempotency key that is safe. */
async function call(method, path, body, headers) {
  const sent = { "X-API-Key": API_KEY, "Content-Type": "application/json", ...headers };
  for (let number = 0; number < TRIES_MAX; number++) {
    let seconds = Math.min(0.5 * 2 ** number, 60) * (0.5 + Math.random());
    try {
      const content = body && JSON.stringify(body);
      const signal = AbortSignal.timeout(30_000);
      const answer = await fetch(API + path, { method, headers: sent, body: content, signal });
      const text = await answer.text();
      if (answer.ok) return JSON.parse(text);
      // Without a code it is not from Paybridge, but from a server in between.
      const problem = answer.headers.get("content-type")?.includes("problem+json") ? JSON.parse(text) : {};
      if (!AGAIN.has(answer.status) && problem.code !== "idempotency_key_in_flight") {
        throw new Refused(answer.status, problem);
      }
      seconds = Math.max(seconds, Number(answer.headers.get("retry-after")) || 0);
    } catch (error) {
      if (error instanceof Refused) throw error;
      // No answer, or a part of one. The request may have worked, so repeat the very same one.
    }
    await sleep(seconds * 1000);
  }
  throw new Error("Still no answer. Send the request again later, with the same key.");
}

/** Paybridge has refused the request. Decide by `code`. */
class Refused extends Error {
  constructor(status, problem) {
    super(`${status} ${problem.code}: ${problem.detail}`);
    this.code = problem.code;
  }
}

/** Read a payment or refund until it has settled, for about a minute. */
async function waitFor(path, openStatuses) {
  let found;
  for (let number = 0; number < 6; number++) {
    found = await call("GET", path, undefined, { Prefer: "wait=10" });
    if (!openStatuses.includes(found.status)) break;
    await sleep(1000); // Too many requests were waiting, or it takes longer.
  }
  return found; // If it has not settled, the webhook will bring the outcome.
}

// In your program: store these keys with the order before you call, and load them when you start again.
const paymentKey = randomUUID();
const refundKey = randomUUID();

const order = {
  amount: "100.50",
  currency: "RUB",
  metadata: { order_id: "123" },
  webhook_url: WEBHOOK_URL,
  payment_method: "tok_success",
};
const created = await call("POST", "/payments", order, { "Idempotency-Key": paymentKey });
const payment = await waitFor(`/payments/${created.payment_id}`, ["pending", "processing", "review"]);
console.log("payment", payment.payment_id, payment.status, payment.failure_code ?? "");

if (payment.status === "succeeded") {
  const part = { amount: "30.00", reason: "Damaged in transit" };
  const path = `/payments/${payment.payment_id}/refunds`;
  const asked = await call("POST", path, part, { "Idempotency-Key": refundKey });
  const refund = await waitFor(`/refunds/${asked.refund_id}`, ["pending", "processing"]);
  console.log("refund", refund.refund_id, refund.status, refund.failure_code ?? "");
}
