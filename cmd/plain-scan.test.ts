/** The short way to a scan and yargs must read every command line alike, or yargs alone must read it. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { test } from 'node:test';
import yargs from 'yargs';
import { protectWords } from './inputs.js';
import { plainScan, type ScanArguments } from './plain-scan.js';
import { scanCommand } from './scan.js';

const names = [
  'files',
  'format',
  'output',
  'continuous',
  'exitCode',
  'flowsMax',
  'progress',
  'logLevel',
  'blockName',
  'blockNamesFile',
  'blockAlpn',
  'encrypted',
  'workers',
] as const;

/** What yargs makes of the words, or null if it refuses them. */
async function asYargs(words: readonly string[]): Promise<ScanArguments | null> {
  const read: ScanArguments[] = [];
  const parser = yargs(protectWords(words))
    .command({
      ...scanCommand,
      handler: (options) => {
        read.push(options);
      },
    })
    .demandCommand(1)
    .strict()
    .exitProcess(false)
    .fail((message, error: Error | undefined) => {
      throw error ?? new Error(message);
    });
  try {
    await parser.parseAsync();
  } catch {
    return null;
  }
  return read[0] ?? null;
}

function picked(options: ScanArguments): Partial<ScanArguments> {
  return Object.fromEntries(names.map((name) => [name, options[name]]));
}

async function agrees(words: readonly string[]): Promise<void> {
  const plain = plainScan(words);
  if (plain === null) return;
  const read = await asYargs(words);
  assert.ok(read, `yargs refuses ${JSON.stringify(words)}`);
  assert.deepEqual(picked(plain), picked(read), JSON.stringify(words));
}

test('the usual forms are understood without yargs, and alike', async () => {
  for (const line of [
    'scan a.pcap',
    'scan a.pcap b.pcap captures/',
    'scan 1 2 0x10 1e3',
    'scan a.pcap --format jsonl -o out.jsonl',
    'scan -f html --output report.html /tmp/x=y.pcap',
    'scan -f csv a.pcap b.pcap',
    'scan -o 7 a.pcap',
    'scan ./-odd.pcap -o ../-odd',
    'scan true -f json',
  ]) {
    const words = line.split(' ');
    assert.ok(plainScan(words), line);
    await agrees(words);
  }
});

test('everything else is left to yargs', () => {
  for (const line of [
    '',
    'scan',
    'explain a.pcap --frame 1',
    'scan -',
    'scan a.pcap -- -b.pcap',
    'scan a.pcap --exit-code',
    'scan a.pcap --format=jsonl',
    'scan a.pcap --format nonsense',
    'scan a.pcap --format constructor',
    'scan a.pcap -f table -f json',
    'scan a.pcap -o',
    'scan a.pcap -o -',
    'scan a.pcap -fjson',
    'scan a.pcap --help',
    'scan "a.pcap"',
    'scan --format json',
    'scan help',
    'scan a.pcap help',
  ]) {
    assert.equal(plainScan(line.split(' ')), null, line);
  }
  assert.equal(plainScan(['scan', '']), null);
  assert.equal(plainScan(['scan', 'a.pcap', '-o', '']), null);
});

test('random command lines are read alike', async () => {
  const word = fc.oneof(
    fc.constantFrom(
      '-f',
      '--format',
      '-o',
      '--output',
      'json',
      'table',
      'a.pcap',
      'help',
      'version',
      '-',
      '--',
      '--continuous',
    ),
    fc.string({ maxLength: 6 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(word, { maxLength: 6 }), (words) => agrees(['scan', ...words])),
    { numRuns: 300 },
  );
});
