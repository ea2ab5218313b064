import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Progress, RunBytes } from './progress.js';

function watched(columns: number, enabled = true) {
  const written: string[] = [];
  const clock = { millis: 0 };
  const progress = new Progress(
    { write: (text: string) => written.push(text) },
    { enabled, columns, now: () => clock.millis },
  );
  return { written, clock, progress };
}

test('disabled: never a byte', () => {
  const { written, clock, progress } = watched(80, false);
  clock.millis = 10_000;
  progress.update(1, 2, 3, 'a');
  progress.finish();
  assert.deepEqual(written, []);
});

test('rate, per cent and time left when the total is known', () => {
  const { written, clock, progress } = watched(100);
  clock.millis = 2000;
  progress.update(50_000_000, 200_000_000, 100_000, 'big.pcap');
  assert.equal(written[0], '\r\x1b[2K25 %, 50,000 packets/s, 25.0 MB/s, 6.0 s left  big.pcap');
});

test('without a total it says what was read', () => {
  const { written, clock, progress } = watched(100);
  clock.millis = 1000;
  progress.update(5_000_000, null, 1000, '-');
  assert.equal(written[0], '\r\x1b[2K5.00 MB read, 1,000 packets/s, 5.00 MB/s  -');
});

test('at most five updates a second, and the line is removed at the end', () => {
  const { written, clock, progress } = watched(80);
  for (clock.millis = 0; clock.millis < 2000; clock.millis++) progress.update(clock.millis, 2000, 1, 'f');
  assert.ok(written.length >= 7 && written.length <= 10, String(written.length));
  progress.finish();
  assert.equal(written.at(-1), '\r\x1b[2K');
  const before = written.length;
  progress.finish();
  assert.equal(written.length, before);
});

test('a short scan shows nothing', () => {
  const { written, clock, progress } = watched(80);
  clock.millis = 250;
  progress.update(1, 2, 3, 'f');
  progress.finish();
  assert.deepEqual(written, []);
});

test('the line stays within the terminal and file names are harmless', () => {
  const { written, clock, progress } = watched(60);
  clock.millis = 1000;
  progress.update(1e9, 1e10, 1e6, `${'deep/'.repeat(30)}\x1b[31m.pcap`);
  const line = written[0]!.slice('\r\x1b[2K'.length);
  assert.ok(line.length < 60, line);
  assert.doesNotMatch(line, /\p{Cc}/u);
  clock.millis = 2000;
  progress.update(1e11, 1e10, 1e6, 'grown.pcap');
  assert.match(written[1]!, /100 %/);
});

test('the bytes of a run go on from file to file, and the total is that of all files', () => {
  const bytes = new RunBytes([100, 50, 250]);
  assert.equal(bytes.total, 400);
  assert.equal(bytes.at(60), 60);
  bytes.next(100);
  bytes.next(50); // passed over without a read
  assert.equal(bytes.at(125), 275);
});

test('one input of unknown size makes the total unknown; what was read still counts', () => {
  const bytes = new RunBytes([100, null, 50]);
  assert.equal(bytes.total, null);
  bytes.next(100);
  bytes.at(30);
  bytes.at(70);
  bytes.next(null);
  assert.equal(bytes.at(10), 180);
  assert.equal(new RunBytes([]).total, 0);
});

test('many files: time left is that of the whole run', () => {
  const { written, clock, progress } = watched(100);
  const bytes = new RunBytes([50_000_000, 150_000_000]);
  bytes.next(50_000_000);
  clock.millis = 2000;
  progress.update(bytes.at(0), bytes.total, 100_000, 'second.pcap');
  assert.equal(written[0], '\r\x1b[2K25 %, 50,000 packets/s, 25.0 MB/s, 6.0 s left  second.pcap');
});
