#!/bin/sh
# Create a payment, wait for its outcome, and refund a part of it. Needs curl and jq.
set -eu
API=${PAYBRIDGE_URL:-http://127.0.0.1:8000}/api/v1
API_KEY=${PAYBRIDGE_API_KEY:-secret-api-key}
WEBHOOK_URL=${WEBHOOK_URL:-http://127.0.0.1:8099/}

# Send a request until it is answered. With the same idempotency key that is safe. curl repeats it with growing delays if
# there is no answer, and after 408, 429 and 5xx, where it follows Retry-After. The last answer counts.
call() { # PATH HEADER [BODY]
  curl -sS --retry 8 --retry-all-errors --max-time 30 "$API$1" -H "X-API-Key: $API_KEY" -H "$2" \
    ${3+-H "Content-Type: application/json" -d "$3"} |
    jq -es 'last | if .code then error("\(.code): \(.detail)") else . end'
}

new_key() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# In your program: store these keys with the order before you call, and load them when you start again.
PAYMENT_KEY=$(new_key)
REFUND_KEY=$(new_key)

ORDER='{"amount": "100.50", "currency": "RUB", "metadata": {"order_id": "123"}, "payment_method": "tok_success"}'
ORDER=$(echo "$ORDER" | jq --arg url "$WEBHOOK_URL" '.webhook_url = $url')
PAYMENT=$(call /payments "Idempotency-Key: $PAYMENT_KEY" "$ORDER")
ID=$(echo "$PAYMENT" | jq -r .payment_id)
PAYMENT=$(call "/payments/$ID" "Prefer: wait=20") # Read it again while it is pending or processing.
echo "$PAYMENT" | jq -r '"payment \(.payment_id) \(.status) \(.failure_code // "")"'

if [ "$(echo "$PAYMENT" | jq -r .status)" = succeeded ]; then
  PART='{"amount": "30.00", "reason": "Damaged in transit"}'
  REFUND=$(call "/payments/$ID/refunds" "Idempotency-Key: $REFUND_KEY" "$PART" | jq -r .refund_id)
  call "/refunds/$REFUND" "Prefer: wait=20" | jq -r '"refund \(.refund_id) \(.status) \(.failure_code // "")"'
fi
