// Times the detectors of the Go blocker on the payloads of the benchmark's part "analysis"; bench/go-blocker.ts puts its
// package "blocker" beside this file and builds both.
//
// usage: harness PAYLOADS SAMPLES
//
// A line of PAYLOADS is `name check transport hex`. Prints one line `name nanoseconds answer` for each: the lower
// quartile of SAMPLES samples of at least 1.5 ms, all payloads taking turns. The check is called through a variable and its answers
// are added up and printed, so that the compiler can neither inline nor remove the call.
package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"swarmgate-bench/blocker"
)

// As many places in memory as on our side of the comparison.
const (
	copies       = 16
	spacing      = 1600
	sampleMin    = 1500 * time.Microsecond
	warmUpRounds = 3
)

type item struct {
	name     string
	check    func([]byte) int
	payloads [copies][]byte
	calls    int
	samples  []float64
}

func one(answer bool) int {
	if answer {
		return 1
	}
	return 0
}

func checkOf(name string, udp bool) func([]byte) int {
	analyzer := blocker.NewAnalyzer(blocker.DefaultConfig())
	switch name {
	case "analysis":
		return func(payload []byte) int {
			result := analyzer.AnalyzePacket(payload, udp)
			return one(result.ShouldBlock)*1000 + len(result.Reason)
		}
	case "utp":
		return func(payload []byte) int { return one(blocker.CheckUTPRobust(payload)) }
	case "udp-tracker":
		return func(payload []byte) int { return one(blocker.CheckUDPTrackerDeep(payload)) }
	case "dht":
		return func(payload []byte) int { return one(blocker.CheckBencodeDHT(payload)) }
	}
	return nil
}

func parse(line string) (*item, error) {
	fields := strings.Split(line, "\t")
	if len(fields) != 4 {
		return nil, fmt.Errorf("not four fields: %q", line)
	}
	bytes, err := hex.DecodeString(fields[3])
	if err != nil {
		return nil, err
	}
	check := checkOf(fields[1], fields[2] == "udp")
	if check == nil {
		return nil, fmt.Errorf("no check %q", fields[1])
	}
	found := &item{name: fields[0], check: check, calls: 256}
	block := make([]byte, copies*spacing+64)
	for i := range found.payloads {
		start := i*spacing + 54
		copy(block[start:], bytes)
		found.payloads[i] = block[start : start+len(bytes) : start+len(bytes)]
	}
	return found, nil
}

var sum int

func (each *item) sample() (time.Duration, float64) {
	begin := time.Now()
	for i := 0; i < each.calls; i++ {
		sum += each.check(each.payloads[i&(copies-1)])
	}
	took := time.Since(begin)
	return took, float64(took.Nanoseconds()) / float64(each.calls)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("usage: harness PAYLOADS SAMPLES"))
	}
	samples, err := strconv.Atoi(os.Args[2])
	if err != nil {
		fail(err)
	}
	file, err := os.Open(os.Args[1])
	if err != nil {
		fail(err)
	}
	var items []*item
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		found, err := parse(lines.Text())
		if err != nil {
			fail(err)
		}
		items = append(items, found)
	}
	if err := lines.Err(); err != nil {
		fail(err)
	}
	for round := 0; round < warmUpRounds; round++ {
		for _, each := range items {
			for took, _ := each.sample(); took < sampleMin; took, _ = each.sample() {
				each.calls *= 2
			}
		}
	}
	for round := 0; round < samples; round++ {
		for _, each := range items {
			_, nanoseconds := each.sample()
			each.samples = append(each.samples, nanoseconds)
		}
	}
	for _, each := range items {
		sort.Float64s(each.samples)
		fmt.Printf("%s\t%.2f\t%d\n", each.name, each.samples[(len(each.samples)-1)/4], each.check(each.payloads[0]))
	}
	fmt.Fprintln(os.Stderr, "sum of all answers:", sum)
}
