// Asks a webhook for admissions at a constant rate, as an API server does: HTTP/1.1 over TLS on connections that are kept, one review at a time
// on each. A review leaves when its moment has come, whether or not others were answered, and waits for a connection where all are taken;
// that counts as its latency, and so does a client that wakes up late.
//
//	admissions ADDRESS NAME CA.pem RATE SECONDS CONNECTIONS BODY...
//
// Every answer has to be 200 and to hold a patch. Prints the microseconds of each, one on a line, in the order of the moments.
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

type connection struct {
	*tls.Conn
	reader *bufio.Reader
	body   bytes.Buffer
}

func dial(address string, config *tls.Config) *connection {
	conn, err := tls.Dial("tcp", address, config)
	if err != nil {
		log.Fatal(err)
	}
	return &connection{Conn: conn, reader: bufio.NewReader(conn)}
}

// A request with its head, as it goes over the wire.
func request(name string, path string) []byte {
	body, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	head := "POST /?timeout=10s HTTP/1.1\r\nHost: " + name + "\r\nUser-Agent: kube-apiserver-admission\r\nContent-Length: " +
		strconv.Itoa(len(body)) + "\r\nAccept: application/json\r\nContent-Type: application/json\r\n\r\n"
	return append([]byte(head), body...)
}

func (c *connection) ask(wire []byte) {
	if _, err := c.Write(wire); err != nil {
		log.Fatal(err)
	}
	answer, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		log.Fatal(err)
	}
	c.body.Reset()
	if _, err := io.Copy(&c.body, answer.Body); err != nil {
		log.Fatal(err)
	}
	if answer.StatusCode != 200 || !bytes.Contains(c.body.Bytes(), []byte(`"patch":`)) {
		log.Fatalf("status %d: %s", answer.StatusCode, c.body.Bytes())
	}
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	if err != nil || value <= 0 {
		log.Fatalf("%s: expected a number above 0", text)
	}
	return value
}

func main() {
	if len(os.Args) < 8 {
		log.Fatal("expected ADDRESS NAME CA.pem RATE SECONDS CONNECTIONS BODY...")
	}
	address, name := os.Args[1], os.Args[2]
	rate, seconds, connections := number(os.Args[4]), number(os.Args[5]), number(os.Args[6])
	ca, err := os.ReadFile(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	config := &tls.Config{RootCAs: roots, ServerName: name, NextProtos: []string{"http/1.1"}}
	var wires [][]byte
	for _, path := range os.Args[7:] {
		wires = append(wires, request(name, path))
	}

	count := rate * seconds
	micros := make([]int64, count)
	moments := make(chan int, count)
	var done sync.WaitGroup
	var start time.Time
	due := func(i int) time.Time { return start.Add(time.Duration(i) * time.Second / time.Duration(rate)) }
	for range connections {
		conn := dial(address, config)
		done.Add(1)
		go func() {
			defer done.Done()
			for i := range moments {
				conn.ask(wires[i%len(wires)])
				micros[i] = time.Since(due(i)).Microseconds()
			}
			conn.Close()
		}()
	}
	start = time.Now().Add(100 * time.Millisecond)
	for i := range count {
		time.Sleep(time.Until(due(i)))
		moments <- i
	}
	close(moments)
	done.Wait()
	out := bufio.NewWriter(os.Stdout)
	for _, one := range micros {
		fmt.Fprintln(out, one)
	}
	out.Flush()
}
