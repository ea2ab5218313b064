/** What the match for acknowledgements says of packets: the kernel runs it, on datagrams of a local socket. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { concat } from '../testing.js';
import { extension, ipv4, ipv6, tcp, udp } from '../wire/testing.js';
import { acknowledgementBytecode } from './acknowledgements.js';
import { hasProgram } from './testing.js';

/** Attaches the program to one end of a pair of sockets (socket(7), SO_ATTACH_FILTER) and prints what arrives: 1, or 0. */
const script = `
import ctypes, socket, struct, sys
words = [list(map(int, line.split())) for line in sys.argv[1].split(',')[1:]]
program = ctypes.create_string_buffer(b''.join(struct.pack('=HBBI', *word) for word in words))
sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.setsockopt(socket.SOL_SOCKET, 26, struct.pack('@HP', len(words), ctypes.addressof(program)))
receiver.setblocking(False)
for line in sys.stdin:
    sender.send(bytes.fromhex(line))
    try:
        receiver.recv(1)
        print(1)
    except BlockingIOError:
        print(0)
`;

function judged(packets: readonly Uint8Array[]): boolean[] {
  const input = packets.map((packet) => `${Buffer.from(packet).toString('hex')}\n`).join('');
  const run = spawnSync('python3', ['-c', script, acknowledgementBytecode], { input, encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
  const answers = run.stdout.trim().split('\n');
  assert.equal(answers.length, packets.length);
  return answers.map((answer) => answer === '1');
}

const none = new Uint8Array(0);
const flagsAck = 0x10;

function segment(flags: number, payload = none, optionWords = 0): Uint8Array {
  const bytes = tcp(payload, undefined, optionWords);
  bytes[13] = flags;
  return bytes;
}

const skip = hasProgram('python3') ? false : 'python3 is not installed';

describe('acknowledgements', { skip }, () => {
  test('TCP with ACK alone and no payload, whatever options and padding', () => {
    const yes = [
      ipv4(6, segment(flagsAck)),
      ipv4(6, segment(flagsAck | 0x08 | 0x40 | 0x80), { id: 0x1234 }),
      ...[1, 3, 6, 8, 10].map((words) => ipv4(6, segment(flagsAck, none, words))),
      ipv4(6, segment(flagsAck), { options: 2 }),
      concat(ipv4(6, segment(flagsAck)), new Uint8Array(6)),
      ...[0, 3, 10].map((words) => ipv6(6, segment(flagsAck, none, words))),
    ];
    assert.deepEqual(judged(yes), Array(yes.length).fill(true));
  });

  test('nothing else', () => {
    const letter = Uint8Array.of(0x13);
    const no = [
      ipv4(6, segment(flagsAck, letter)),
      ipv4(6, segment(flagsAck, letter, 3)),
      ipv4(6, segment(flagsAck, new Uint8Array(12))),
      ipv6(6, segment(flagsAck, letter)),
      // SYN, FIN, RST, none.
      ...[0x02, 0x12, 0x11, 0x14, 0x00].flatMap((flags) => [
        ipv4(6, segment(flags)),
        ipv6(6, segment(flags)),
      ]),
      ipv4(6, segment(flagsAck), { more: true }),
      ipv4(6, segment(flagsAck), { offset: 8 }),
      ipv4(6, segment(flagsAck), { total: 0 }),
      ipv4(6, segment(flagsAck), { total: 65_535 }),
      ipv6(6, segment(flagsAck), { length: 0 }),
      ipv6(0, extension(6, segment(flagsAck))),
      ipv6(17, udp(new Uint8Array(12))),
      ...Array.from({ length: 33 }, (_, length) => ipv4(6, segment(flagsAck)).slice(0, length)),
      Uint8Array.of(0x70, ...new Uint8Array(60)),
    ];
    assert.deepEqual(judged(no), Array(no.length).fill(false));
  });

  test('property: a packet is one exactly if its headers fill it', () => {
    const packet = fc.record({
      six: fc.boolean(),
      ipOptions: fc.integer({ min: 0, max: 10 }),
      options: fc.integer({ min: 0, max: 10 }),
      payload: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 80 })),
      padding: fc.integer({ min: 0, max: 6 }),
      flags: fc.oneof(fc.constant(flagsAck), fc.integer({ min: 0, max: 255 })),
      // Also what the sender claims falsely.
      claimed: fc.oneof({ weight: 4, arbitrary: fc.constant(null) }, fc.integer({ min: 0, max: 15 })),
    });
    fc.assert(
      fc.property(fc.array(packet, { minLength: 200, maxLength: 200 }), (plans) => {
        const packets = plans.map((plan) => {
          const bytes = segment(plan.flags, new Uint8Array(plan.payload), plan.options);
          if (plan.claimed !== null) bytes[12] = (plan.claimed << 4) | (bytes[12]! & 0x0f);
          const whole = plan.six ? ipv6(6, bytes) : ipv4(6, bytes, { options: plan.ipOptions });
          return concat(whole, new Uint8Array(plan.padding));
        });
        const expected = plans.map(({ flags, payload, options, claimed }) => {
          const header = 4 * (claimed ?? 5 + options);
          return (flags & 0x17) === flagsAck && header === 4 * (5 + options) + payload;
        });
        assert.deepEqual(judged(packets), expected);
      }),
      { numRuns: 20 },
    );
  });
});
