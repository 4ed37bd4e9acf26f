// SPDX-License-Identifier: MIT

// Go in the case idle_connection: a goroutine that waits for the first byte of each. Prints the
// bytes that each connection takes.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"
)

const (
	connections = 10000
	batch       = 100
)

func serve(c net.Conn) {
	var first [1]byte
	c.Read(first[:])
	c.Close()
}

func accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			panic(err)
		}
		go serve(c)
	}
}

func memory() (bytes int) {
	f, err := os.Open("/proc/self/smaps_rollup")
	if err != nil {
		panic(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if n, _ := fmt.Sscanf(lines.Text(), "Anonymous: %d", &bytes); n == 1 {
			break
		}
	}
	return bytes * 1024
}

func main() {
	runtime.GOMAXPROCS(1)
	var limit syscall.Rlimit
	syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	limit.Cur = limit.Max
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	n := int(limit.Max-100) / 2
	if n > connections {
		n = connections
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	at := syscall.SockaddrInet4{Port: l.Addr().(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}
	go accept(l)
	time.Sleep(time.Millisecond)
	runtime.GC()
	before := memory()
	for i := 0; i < n; i++ {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err != nil {
			panic(err)
		}
		if err = syscall.Connect(fd, &at); err != nil {
			panic(err)
		}
		if i%batch == batch-1 {
			time.Sleep(time.Millisecond)
		}
	}
	time.Sleep(100 * time.Millisecond)
	runtime.GC()
	fmt.Printf("%.1f\n", float64(memory()-before)/float64(n))
}
