// SPDX-License-Identifier: MIT

// Go's scheduler, as bench/fiber_bench.c does ours: the same numbers of goroutines, on one
// processor, where no lock is contended.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

const (
	yielders = 100
	batch    = 100
	rounds   = 5
	least    = 40 * time.Millisecond
)

func yields(n int64) {
	var all sync.WaitGroup
	for i := 0; i < yielders; i++ {
		all.Add(1)
		go func() {
			for j := int64(0); j < n/yielders; j++ {
				runtime.Gosched()
			}
			all.Done()
		}()
	}
	all.Wait()
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

func main() {
	runtime.GOMAXPROCS(1)
	work := map[string]func(int64){"yield": yields, "spawn_join": spawns, "chan": chans}[os.Args[1]]
	n := int64(1000)
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
