// Receive webhooks: verify each, and handle it once. Needs Go 1.21 and no modules.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	tolerance    = 5 * time.Minute
	bodyBytesMax = 1_000_000
)

var (
	port    = setting("PORT", "8099")
	secret  = setting("WEBHOOK_SECRET", "whsec_cGF5YnJpZGdlLWxvY2FsLXdlYmhvb2stc2VjcmV0ISE=")
	lock    sync.Mutex
	handled = map[string]bool{} // In your program: a table, written in the transaction that stores the effect.
)

type event struct {
	Type string `json:"type"`
	Data struct {
		PaymentID string `json:"payment_id"`
		RefundID  string `json:"refund_id"`
		Sequence  int    `json:"sequence"`
	} `json:"data"`
}

// isGenuine tells whether our secret has signed exactly these bytes, within the last five minutes.
func isGenuine(headers http.Header, body []byte) bool {
	id, timestamp := headers.Get("webhook-id"), headers.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > tolerance {
		return false
	}
	encoded := strings.TrimRight(strings.TrimPrefix(secret, "whsec_"), "=")
	key, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	expected := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	// There are several while a secret rotates: one for each secret. hmac.Equal takes the same time for any bytes.
	for _, each := range strings.Split(headers.Get("webhook-signature"), " ") {
		if hmac.Equal(expected, []byte(each)) {
			return true
		}
	}
	return false
}

func handle(id string, received event) {
	lock.Lock()
	defer lock.Unlock()
	if handled[id] {
		return // An attempt whose answer was lost is repeated.
	}
	handled[id] = true
	subject := received.Data.RefundID
	if subject == "" {
		subject = received.Data.PaymentID
	}
	// Events may come in any order: ignore one whose sequence is lower than the last of the same payment or refund.
	fmt.Println(received.Type, subject, received.Data.Sequence)
}

func receive(writer http.ResponseWriter, request *http.Request) {
	// The bytes as they came. Parsed and written again they would differ.
	body, err := io.ReadAll(http.MaxBytesReader(writer, request.Body, bodyBytesMax))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		writer.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil || !isGenuine(request.Header, body) {
		writer.WriteHeader(http.StatusBadRequest)
		return
	}
	var received event
	if err := json.Unmarshal(body, &received); err != nil {
		writer.WriteHeader(http.StatusBadRequest)
		return
	}
	handle(request.Header.Get("webhook-id"), received)
	writer.WriteHeader(http.StatusNoContent) // Only now: what is answered 2xx is not sent again.
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func main() {
	http.HandleFunc("/", receive)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+port, nil))
}
