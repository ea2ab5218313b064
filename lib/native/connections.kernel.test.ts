import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { clearMarks } from './connections.js';
import { nativeProblem } from './index.js';

const inNamespace = ['--net', '--fork', '--kill-child'];

function cannot(): string | false {
  const problem = nativeProblem();
  if (problem !== null) return problem;
  if (spawnSync('unshare', [...inNamespace, 'iptables', '-t', 'mangle', '-L']).status !== 0)
    return 'no network namespace with iptables can be made here';
  return spawnSync('conntrack', ['--version']).status === 0 ? false : 'conntrack is not installed';
}

/** Many connections with foreign bits and ours, and what conntrack says of them before and after. */
const script = `
set -e
ip link set lo up
for tables in iptables ip6tables; do
  $tables -t mangle -A OUTPUT -p udp -j CONNMARK --set-mark 0xc0000005
  $tables -t mangle -A OUTPUT -p tcp -j CONNMARK --set-mark 0x80000005
done
"$1" -e '
  const { createSocket } = require("node:dgram");
  for (const [kind, address] of [["udp4", "127.0.0.1"], ["udp6", "::1"]]) {
    const socket = createSocket(kind);
    let left = 5000;
    const next = () => left-- > 0 ? socket.send("x", 20000 + left, address, next) : socket.close();
    socket.on("error", () => undefined);
    next();
  }'
count() { conntrack -L -f "$1" -m "$2" 2>/dev/null | wc -l; }
"$1" -e 'import(process.argv[1]).then(({ clearMarks }) => { clearMarks(0x70000000); process.exit(7); })' "$2" || echo "exit $?"
echo "before $(count ipv4 0xc0000005) $(count ipv6 0xc0000005)"
"$1" -e 'import(process.argv[1]).then(({ clearMarks }) => clearMarks(0x70000000)).then((count) => console.log("cleared", count))' "$2"
echo "after $(count ipv4 0xc0000005) $(count ipv6 0xc0000005), kept $(count ipv4 0x80000005) $(count ipv6 0x80000005)"
"$1" -e 'import(process.argv[1]).then(({ clearMarks }) => clearMarks(0x70000000)).then((count) => console.log("again", count))' "$2"
`;

test(
  'our bits are cleared on thousands of connections of both families, all others stay',
  { skip: cannot() },
  () => {
    const module = fileURLToPath(new URL('connections.js', import.meta.url));
    const { stdout, stderr, status } = spawnSync(
      'unshare',
      [...inNamespace, 'bash', '-c', script, 'bash', process.execPath, module],
      { encoding: 'utf8', timeout: 120_000 },
    );
    assert.equal(status, 0, stderr);
    const [exit, before, cleared, ...rest] = stdout.trim().split('\n');
    assert.equal(exit, 'exit 7');
    const left = before!.split(' ').slice(1).map(Number);
    const sum = left[0]! + left[1]!;
    assert.ok(sum > 0, `who ends at once waited until all was cleared: ${stdout}`);
    assert.deepEqual([cleared, ...rest], [`cleared ${sum}`, 'after 0 0, kept 5000 5000', 'again 0']);
  },
);

test('what stands in the way is said with what to do', { skip: cannot() }, () => {
  const module = fileURLToPath(new URL('connections.js', import.meta.url));
  const words = ['--bounding-set=-net_admin', '--', process.execPath, '-e'];
  const text =
    'import(process.argv[1]).then(({ clearMarks }) => clearMarks(1)).catch((e) => console.log(e.code, e.message))';
  const { stdout } = spawnSync('setpriv', [...words, text, module], { encoding: 'utf8' });
  assert.match(stdout, /^connections-failed .*\(EPERM\): run as root, or with CAP_NET_ADMIN/);
});

test('a mask must be a number', { skip: nativeProblem() ?? false }, async () => {
  await assert.rejects(clearMarks('x' as unknown as number), TypeError);
});
