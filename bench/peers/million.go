// SPDX-License-Identifier: MIT

// A million goroutines that wait, as bench/million_bench.c does with fibers: what it prints is
// named by its argument.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

const goroutines = 1000000

func resident() float64 {
	var all, pages float64
	f, err := os.Open("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	defer f.Close()
	fmt.Fscan(f, &all, &pages)
	return pages * float64(os.Getpagesize()) / 1024
}

func main() {
	runtime.GOMAXPROCS(1)
	woken, ended := make(chan int), make(chan int)
	var asleep, awake int
	var all sync.WaitGroup
	results := map[string]float64{}
	before, start := resident(), time.Now()
	all.Add(goroutines)
	for i := 0; i < goroutines; i++ {
		go func() {
			asleep++
			<-woken
			awake++
			<-ended
			all.Done()
		}()
	}
	for asleep < goroutines {
		runtime.Gosched()
	}
	results["start"] = float64(time.Since(start).Nanoseconds()) / goroutines
	results["memory"] = (resident() - before) / goroutines
	start = time.Now()
	close(woken)
	for awake < goroutines {
		runtime.Gosched()
	}
	results["wake"] = float64(time.Since(start).Nanoseconds()) / goroutines
	start = time.Now()
	close(ended)
	all.Wait()
	results["end"] = float64(time.Since(start).Nanoseconds()) / goroutines
	fmt.Printf("%.4f\n", results[os.Args[1]])
}
