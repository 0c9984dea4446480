// Create a payment, wait for its outcome, and refund a part of it. Needs Go 1.21 and no modules.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	mathrand "math/rand"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"
)

const triesMax = 8

var (
	api        = setting("PAYBRIDGE_URL", "http://127.0.0.1:8000") + "/api/v1"
	apiKey     = setting("PAYBRIDGE_API_KEY", "secret-api-key")
	webhookURL = setting("WEBHOOK_URL", "http://127.0.0.1:8099/")
	client     = http.Client{Timeout: 30 * time.Second}
	again      = []int{429, 500, 502, 503, 504}
)

// state is what this program reads of a payment or refund.
type state struct {
	PaymentID   string `json:"payment_id"`
	RefundID    string `json:"refund_id"`
	Status      string `json:"status"`
	FailureCode string `json:"failure_code"`
}

// refused is an answer that no repetition changes. Decide by Code.
type refused struct {
	Status int
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (r refused) Error() string { return fmt.Sprintf("%d %s: %s", r.Status, r.Code, r.Detail) }

// call sends a request until it is answered. With the same idempotency key that is safe.
func call(method, path string, body any, headers map[string]string) (state, error) {
	var content []byte
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return state{}, err
		}
	}
	for number := 0; number < triesMax; number++ {
		found, wait, err := try(method, path, content, headers)
		if err == nil || errors.As(err, &refused{}) {
			return found, err
		}
		// No clear answer. The request may have worked, so repeat the very same one.
		delay := min(500*time.Millisecond<<number, time.Minute)
		delay = time.Duration(float64(delay) * (0.5 + mathrand.Float64()))
		time.Sleep(max(delay, wait))
	}
	return state{}, errors.New("still no answer: send the request again later, with the same key")
}

// try sends a request once. If it fails, it returns how long Paybridge asks to wait.
func try(method, path string, content []byte, headers map[string]string) (found state, wait time.Duration, err error) {
	request, err := http.NewRequest(method, api+path, bytes.NewReader(content))
	if err != nil {
		return found, 0, err
	}
	request.Header.Set("X-API-Key", apiKey)
	request.Header.Set("Content-Type", "application/json")
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	answer, err := client.Do(request)
	if err != nil {
		return found, 0, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return found, 0, err
	}
	if answer.StatusCode < 300 {
		return found, 0, json.Unmarshal(text, &found)
	}
	problem := refused{Status: answer.StatusCode}
	_ = json.Unmarshal(text, &problem) // Without a code it is not from Paybridge, but from a server in between.
	if slices.Contains(again, answer.StatusCode) || problem.Code == "idempotency_key_in_flight" {
		seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
		return found, time.Duration(seconds) * time.Second, errors.New(problem.Error())
	}
	return found, 0, problem
}

// waitFor reads a payment or refund until it has settled, for about a minute.
func waitFor(path string, openStatuses ...string) (found state, err error) {
	for number := 0; number < 6; number++ {
		found, err = call("GET", path, nil, map[string]string{"Prefer": "wait=10"})
		if err != nil || !slices.Contains(openStatuses, found.Status) {
			return found, err
		}
		time.Sleep(time.Second) // Too many requests were waiting, or it takes longer.
	}
	return found, nil // Not settled yet. The webhook will bring the outcome.
}

func run() error {
	// In your program: store these keys with the order before you call, and load them when you start again.
	paymentKey, refundKey := newKey(), newKey()

	order := map[string]any{
		"amount":         "100.50",
		"currency":       "RUB",
		"metadata":       map[string]string{"order_id": "123"},
		"webhook_url":    webhookURL,
		"payment_method": "tok_success",
	}
	payment, err := call("POST", "/payments", order, map[string]string{"Idempotency-Key": paymentKey})
	if err != nil {
		return err
	}
	payment, err = waitFor("/payments/"+payment.PaymentID, "pending", "processing", "review")
	if err != nil {
		return err
	}
	fmt.Println("payment", payment.PaymentID, payment.Status, payment.FailureCode)
	if payment.Status != "succeeded" {
		return nil
	}

	part := map[string]string{"amount": "30.00", "reason": "Damaged in transit"}
	path := "/payments/" + payment.PaymentID + "/refunds"
	refund, err := call("POST", path, part, map[string]string{"Idempotency-Key": refundKey})
	if err != nil {
		return err
	}
	refund, err = waitFor("/refunds/"+refund.RefundID, "pending", "processing")
	if err != nil {
		return err
	}
	fmt.Println("refund", refund.RefundID, refund.Status, refund.FailureCode)
	return nil
}

func newKey() string {
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		panic(err)
	}
	return fmt.Sprintf("%x", random)
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
