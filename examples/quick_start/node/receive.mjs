// Receive webhooks: verify each, and handle it once. Needs Node.js 18 and no packages.

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const PORT = Number(process.env.PORT ?? 8099);
const SECRET = process.env.WEBHOOK_SECRET ?? "whsec_cGF5YnJpZGdlLWxvY2FsLXdlYmhvb2stc2VjcmV0ISE=";
const TOLERANCE_SECONDS = 300;
const BODY_BYTES_MAX = 1_000_000;

const handled = new Set(); // In your program: a table, written in the transaction that stores the effect.

/** Tell whether our secret has signed exactly these bytes, within the last five minutes. */
function isGenuine(headers, body) {
  const { "webhook-id": id = "", "webhook-timestamp": timestamp = "", "webhook-signature": signatures = "" } = headers;
  if (!/^[0-9]+$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE_SECONDS) return false;
  const key = Buffer.from(SECRET.slice("whsec_".length), "base64");
  const digest = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64");
  const expected = Buffer.from(`v1,${digest}`);
  // There are several while a secret rotates: one for each secret. timingSafeEqual takes the same time for any bytes.
  return signatures.split(" ").some((each) => {
    const given = Buffer.from(each);
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
}

function handle(id, { type, data }) {
  if (handled.has(id)) return; // An attempt whose answer was lost is repeated.
  handled.add(id);
  // Events may come in any order: ignore one whose sequence is lower than the last of the same payment or refund.
  console.log(type, data.refund_id ?? data.payment_id, data.sequence);
}

/** Return the bytes as they came, or null if there are too many. Parsed and written again they would differ. */
async function read(request) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > BODY_BYTES_MAX) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const server = createServer(async (request, response) => {
  const body = await read(request).catch(() => null);
  if (body === null) {
    response.writeHead(413, { connection: "close" }).end();
  } else if (!isGenuine(request.headers, body)) {
    response.writeHead(400).end();
  } else {
    handle(request.headers["webhook-id"], JSON.parse(body.toString()));
    response.writeHead(204).end(); // Only now: what is answered 2xx is not sent again.
  }
});
server.listen(PORT, "127.0.0.1");
