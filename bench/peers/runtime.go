// SPDX-License-Identifier: MIT

// Go's scheduler, as bench/fiber_bench.c does ours: the same numbers of goroutines, on one
// processor, where no lock is contended.
package main

import (
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"
)

const (
	yielders = 100
	batch    = 100
	rounds   = 5
	least    = 40 * time.Millisecond
)

// Those who yield live for the whole run.
var yielding int
var yielded int64

func crowd(n int) {
	for i := 0; i < n; i++ {
		go func() {
			for {
				yielded++
				runtime.Gosched()
			}
		}()
	}
}

func yields(n int64) {
	yielded = 0
	for yielded < n {
		runtime.Gosched()
	}
}

const (
	pending = 1000000
	calls   = 1024
)

var ours [calls]*time.Timer
var moments [65536]time.Duration

func timers(n int64) {
	for i := int64(0); i < n; i++ {
		ours[i%calls].Stop()
		ours[i%calls].Reset(moments[i%int64(len(moments))])
	}
}

func someTime() time.Duration {
	return time.Second + time.Duration(rand.Int63n(int64(time.Hour)))
}

func spawns(n int64) {
	for done := int64(0); done < n; done += batch {
		var all sync.WaitGroup
		all.Add(batch)
		for i := 0; i < batch; i++ {
			go all.Done()
		}
		all.Wait()
	}
}

func chans(n int64) {
	line := make(chan int64)
	go func() {
		for i := int64(0); i < n; i++ {
			line <- i
		}
	}()
	var sum int64
	for i := int64(0); i < n; i++ {
		sum += <-line
	}
	if sum != n*(n-1)/2 {
		panic("items were lost")
	}
}

// As Go does it before its version 1.23: by a goroutine that sends.
func count(n int64) <-chan int64 {
	line := make(chan int64)
	go func() {
		for i := int64(0); i < n; i++ {
			line <- i
		}
		close(line)
	}()
	return line
}

func generates(n int64) {
	var sum int64
	for i := range count(n) {
		sum += i
	}
	if sum != n*(n-1)/2 {
		panic("values were lost")
	}
}

func main() {
	runtime.GOMAXPROCS(1)
	work := map[string]func(int64){"yield": yields, "spawn_join": spawns, "chan": chans,
		"generator": generates, "timer": timers}[os.Args[1]]
	switch os.Args[1] {
	case "yield":
		yielding = yielders
		if len(os.Args) > 2 {
			yielding, _ = strconv.Atoi(os.Args[2])
		}
		crowd(yielding)
	case "timer":
		for i := 0; i < pending; i++ {
			time.AfterFunc(someTime(), func() {})
		}
		for i := range ours {
			ours[i] = time.AfterFunc(someTime(), func() {})
		}
		for i := range moments {
			moments[i] = someTime()
		}
	}
	n := int64(1000)
	if yielding > 0 {
		n = 10 * int64(yielding)
	}
	for printed := -1; printed < rounds; {
		start := time.Now()
		work(n)
		took := time.Since(start)
		if took < least {
			n *= 2
			continue
		}
		if printed >= 0 {
			fmt.Printf("%.3f\n", float64(took.Nanoseconds())/float64(n))
		}
		printed++
	}
}
