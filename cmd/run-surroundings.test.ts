/** `swarmgate run` where its surroundings misbehave: terminals, files, other instances, tools that fail. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { cannotMakeNamespaces, hasProgram } from '../lib/firewall/testing.js';
import { nativeProblem } from '../lib/native/index.js';
import type { StatusReport } from '../lib/report/status.js';
import { program, repositoryPath } from '../lib/testing.js';

const skip =
  nativeProblem() ??
  (cannotMakeNamespaces() || (hasProgram('iptables') ? false : 'iptables is not installed'));
const namespace = `sgsur${process.pid}`;
const inNamespace = ['netns', 'exec', namespace];

const lockModule = JSON.stringify(repositoryPath('dist', 'lib', 'control', 'instance-lock.js'));
const nameOfTurn = `import(${lockModule}).then(({ lockPath }) => console.log(lockPath('.start')))`;
/** Holds the turn in which rules are written, and says so. */
const holdTurn =
  `import(${lockModule}).then(({ takeTurn }) => takeTurn(undefined, process.argv[1]))` +
  `.then(() => { console.log('held'); setInterval(() => undefined, 1000); })`;

/** An instance and what it said on standard error. */
class Run {
  said = '';
  readonly child: ChildProcess;
  readonly ended: Promise<[number | null, NodeJS.Signals | null]>;

  constructor(words: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.child = spawn(
      'ip',
      [...inNamespace, process.execPath, program, 'run', '--no-live', '--workers', '1', ...words],
      { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.said += text));
    this.ended = once(this.child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  }

  async heard(words: RegExp, times = 1): Promise<void> {
    const until = Date.now() + 15_000;
    while ([...this.said.matchAll(new RegExp(words.source, 'g'))].length < times) {
      assert.ok(Date.now() < until, `${words.source} is not ${times} times in ${this.said}`);
      await sleep(20);
    }
  }
}

describe('a filter and its surroundings', { skip, timeout: 120_000 }, () => {
  let folder: string;
  const runs: Run[] = [];

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'sgsur-'));
    execFileSync('ip', ['netns', 'add', namespace]);
    execFileSync('ip', [...inNamespace, 'ip', 'link', 'set', 'lo', 'up']);
  });
  afterEach(() => {
    for (const { child } of runs.splice(0)) child.kill('SIGKILL');
    for (const name of ['default', 'other']) swarmgate('firewall', 'remove', '--instance', name);
  });
  after(() => {
    spawnSync('ip', ['netns', 'delete', namespace]);
    rmSync(folder, { recursive: true });
  });

  const inside = (words: readonly string[]): string =>
    execFileSync('ip', [...inNamespace, ...words], { encoding: 'utf8' });
  const swarmgate = (...words: string[]): string => {
    const run = spawnSync('ip', [...inNamespace, process.execPath, program, ...words], { encoding: 'utf8' });
    return run.stdout + run.stderr;
  };
  const rules = (): string => inside(['iptables-save']) + inside(['ip6tables-save']);
  const socket = (name: string): string[] => ['--socket', join(folder, `${name}.sock`)];

  function launch(words: readonly string[], env: Readonly<Record<string, string>> = {}): Run {
    const run = new Run(words.includes('--socket') ? words : [...words, ...socket('default')], env);
    runs.push(run);
    return run;
  }
  async function start(
    words: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
  ): Promise<Run> {
    const run = launch(words, env);
    await run.heard(/info: ready/);
    return run;
  }

  test('a signal that comes twice at once is one', async () => {
    const run = await start();
    run.child.kill('SIGTERM');
    await sleep(60);
    run.child.kill('SIGTERM');
    assert.deepEqual(await run.ended, [0, null], run.said);
    assert.doesNotMatch(rules(), /SWARMGATE/);
  });

  test('Ctrl-Z does not pause it, whoever sends it', async () => {
    const run = await start();
    for (const signal of ['SIGTTOU', 'SIGTTIN', 'SIGTSTP'] as const) run.child.kill(signal);
    await run.heard(/cannot be paused.*\[pause-refused\]/);
    assert.match(swarmgate('status', ...socket('default')), /Blocking|Watching|blocks nothing|intact/);
    run.child.kill('SIGTERM');
    assert.deepEqual(await run.ended, [0, null], run.said);
  });

  test('a start that waits for another one hears SIGTERM', async () => {
    const path = inside([process.execPath, '-e', nameOfTurn]).trim();
    const holder = spawn('ip', [...inNamespace, process.execPath, '-e', holdTurn, path], { stdio: 'pipe' });
    await once(holder.stdout, 'data');
    try {
      const run = launch([]);
      await sleep(1500);
      assert.doesNotMatch(run.said, /ready/);
      run.child.kill('SIGTERM');
      const began = Date.now();
      assert.deepEqual(await run.ended, [0, null], run.said);
      assert.ok(Date.now() - began < 10_000);
      assert.doesNotMatch(rules(), /SWARMGATE/);
    } finally {
      holder.kill('SIGKILL');
      rmSync(path, { force: true });
    }
  });

  test('a pipe in place of the configuration is refused, and every answer is heard', async () => {
    const file = join(folder, 'config.yaml');
    writeFileSync(file, 'mode: enforce\n');
    const run = await start(['--config', file]);
    rmSync(file);
    execFileSync('mkfifo', [file]);
    for (let times = 1; times <= 7; times++) {
      run.child.kill('SIGHUP');
      await run.heard(/kept: .*no regular file.*\[reload-refused\]/, times);
    }
    run.child.kill('SIGTERM');
    assert.deepEqual(await run.ended, [0, null], run.said);
    const again = launch(['--config', file]);
    assert.deepEqual(await again.ended, [78, null]);
    assert.match(again.said, /no regular file/);
  });

  test('an instance with mark bits of another that runs is refused; one that is gone is told of', async () => {
    const run = await start();
    const words = ['--instance', 'other', '--queue', '9700', ...socket('other')];
    const same = launch(words);
    assert.deepEqual(await same.ended, [69, null]);
    assert.match(same.said, /instance default \(process \d+\).*--mark-mask 0x0e000000.*\[mark-busy\]/);
    assert.doesNotMatch(rules(), /SWARMGATE-other/);
    assert.match(
      swarmgate('doctor', '--instance', 'other'),
      /FAIL {2}the rules of instance default use the mark bits/,
    );
    const own = await start([...words, '--mark-mask', '0x0e000000']);
    own.child.kill('SIGKILL');
    await own.ended;
    run.child.kill('SIGTERM');
    await run.ended;
    const next = await start();
    assert.match(
      next.said,
      /rules of instance other stand here.*remove --instance other.*\[rules-of-others\]/,
    );
  });

  test('an interface that is not there is told of, and waited for', async () => {
    const run = await start(['--interface', 'nosuch0']);
    await run.heard(/warn: there is no interface nosuch0 now.*\[no-interface\]/);
    assert.match(rules(), /-i nosuch0/);
  });

  test('an event log that cannot be opened is said once, and may come later', async () => {
    const run = launch(['--eve', join(folder, 'no', 'eve.json')]);
    // Not 2, after which systemd would never try again.
    assert.deepEqual(await run.ended, [69, null]);
    assert.match(run.said, /^swarmgate: .*eve\.json.*\[eve-file\]\n$/);
    assert.doesNotMatch(rules(), /SWARMGATE/);
  });

  test('rules that cannot be removed are a failure, and those of the other family go', async () => {
    const tools = join(folder, 'tools');
    mkdirSync(tools);
    const real = execFileSync('sh', ['-c', 'PATH="$PATH:/usr/sbin" command -v iptables-restore'], {
      encoding: 'utf8',
    }).trim();
    const script = `#!/bin/sh\n[ ! -e ${tools}/broken ] || { echo no >&2; exit 4; }\nexec ${real} "$@"\n`;
    writeFileSync(join(tools, 'iptables-restore'), script, { mode: 0o755 });
    const run = await start([], { PATH: `${tools}:${process.env['PATH'] ?? ''}` });
    writeFileSync(join(tools, 'broken'), '');
    run.child.kill('SIGTERM');
    assert.deepEqual(await run.ended, [69, null], run.said);
    assert.match(
      run.said,
      /error: stopped; "swarmgate firewall remove" removes what is left \[rules-left\]\n$/,
    );
    assert.match(inside(['iptables-save']), /SWARMGATE/);
    assert.doesNotMatch(inside(['ip6tables-save']), /SWARMGATE/);
  });

  const noConntrack = hasProgram('conntrack') ? false : 'conntrack is not installed';
  const noPython = hasProgram('python3') ? false : 'python3 is not installed';
  for (const [what, status] of [
    ['stopped', 0],
    ['lost', 0],
    ['lost-while-stopping', 0],
    ['lost-without-control', 0],
    ['not-for-those-in-the-background', 0],
  ] as const) {
    test(`a terminal that is ${what}: it goes in order`, { skip: noPython }, () => {
      const words = [
        ...inNamespace,
        process.execPath,
        program,
        'run',
        '--workers',
        '1',
        ...socket('default'),
      ];
      const out = execFileSync('python3', ['-c', onTerminal, what, 'ip', ...words], {
        encoding: 'utf8',
        timeout: 60_000,
      });
      assert.equal(out.trim(), String(status));
      assert.doesNotMatch(rules(), /SWARMGATE/);
    });
  }

  test(
    'an event log to a terminal that is stopped does not keep it from ending',
    { skip: noPython },
    async () => {
      inside(['ip', 'link', 'add', 'net0', 'type', 'veth', 'peer', 'name', 'net1']);
      inside(['ip', 'address', 'add', '10.77.0.1/24', 'dev', 'net0']);
      for (const end of ['net0', 'net1']) inside(['ip', 'link', 'set', end, 'up']);
      inside(['ip', 'neighbour', 'add', '10.77.0.2', 'lladdr', '02:00:00:00:00:02', 'dev', 'net0']);
      const words = ['run', '--no-live', '--local', '--eve', '-', '--workers', '1', ...socket('default')];
      const terminal = spawn('python3', [
        '-c',
        onStoppedTerminal,
        'ip',
        ...inNamespace,
        process.execPath,
        program,
        ...words,
      ]);
      let said = '';
      terminal.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
      const ended = once(terminal, 'close');
      try {
        for (let i = 0; i < 500 && !said.includes('stopped'); i++) await sleep(20);
        const query = `d1:ad2:id20:${'i'.repeat(20)}e1:q4:ping1:t2:aa1:y1:qe`;
        inside(['bash', '-c', `for i in $(seq 30); do printf %s '${query}' > /dev/udp/10.77.0.2/6881; done`]);
        const decided = (): number =>
          (JSON.parse(swarmgate('status', '--json', ...socket('default'))) as StatusReport).decisions.length;
        for (let i = 0; i < 50 && decided() === 0; i++) await sleep(100);
        assert.ok(decided() > 0);
        terminal.stdin.write('end\n');
        await ended;
        assert.match(said, /stopped\n0\n$/);
        assert.doesNotMatch(rules(), /SWARMGATE/);
      } finally {
        terminal.kill('SIGKILL');
        inside(['ip', 'link', 'delete', 'net0']);
      }
    },
  );

  test('a pipe that nobody reads, and that is full, does not keep it from ending', async () => {
    const fifo = join(folder, 'full');
    execFileSync('mkfifo', [fifo]);
    const pipe = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
    assert.throws(() => {
      for (;;) writeSync(pipe, new Uint8Array(4096));
    }, /EAGAIN/);
    const words = [...inNamespace, process.execPath, program, 'run', '--live', '--workers', '1'];
    const child = spawn('ip', [...words, ...socket('default')], { stdio: ['ignore', pipe, 'pipe'] });
    let said = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (said += text));
    try {
      while (!said.includes('info: ready')) await sleep(20);
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      assert.deepEqual(await ended, [0, null], said);
    } finally {
      child.kill('SIGKILL');
      closeSync(pipe);
    }
  });

  test(
    'a start that is refused leaves the marks of connections to those who run',
    { skip: noConntrack },
    async () => {
      const run = await start();
      const words = '-I -s 10.0.0.1 -d 10.0.0.2 -p udp --sport 1 --dport 2 -t 60 -m 0x20000000';
      inside(['conntrack', ...words.split(' ')]);
      const same = launch(['--instance', 'other', '--queue', '9700', ...socket('other')]);
      assert.deepEqual(await same.ended, [69, null]);
      assert.match(inside(['conntrack', '-L']), /mark=536870912/);
      run.child.kill('SIGTERM');
      await run.ended;
      assert.doesNotMatch(inside(['conntrack', '-L']), /mark=536870912/);
    },
  );

  test('of two that start at once with the same bits one is refused', async () => {
    const both = [launch([]), launch(['--instance', 'other', '--queue', '9700', ...socket('other')])];
    await Promise.race(both.map(({ ended }) => ended));
    await Promise.race(both.map((run) => run.heard(/info: ready/)));
    const said = both.map((run) => run.said).join('');
    assert.equal([...said.matchAll(/info: ready/g)].length, 1, said);
    assert.match(said, /\[mark-busy\]/);
  });

  test('rules are removed also where a tool that only looks fails', async () => {
    const run = await start();
    run.child.kill('SIGKILL');
    await run.ended;
    const tools = join(folder, 'failing');
    mkdirSync(tools);
    writeFileSync(join(tools, 'iptables-legacy-save'), '#!/bin/sh\nexit 3\n', { mode: 0o755 });
    spawnSync('ip', [...inNamespace, process.execPath, program, 'firewall', 'remove'], {
      env: { ...process.env, PATH: `${tools}:${process.env['PATH'] ?? ''}` },
    });
    assert.doesNotMatch(rules(), /SWARMGATE/);
  });
});

/** Runs a program on a terminal of its own, does to it what is asked, and prints how it ended. */
const onTerminal = `
import fcntl, os, pty, signal, struct, subprocess, sys, termios, threading, time
what, words = sys.argv[1], sys.argv[2:]
master, slave = pty.openpty()
fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack('HHHH', 50, 120, 0, 0))
behind = what == 'not-for-those-in-the-background'
if behind: # as "stty tostop" and "swarmgate run &" in a shell: this process has the terminal
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    flags = termios.tcgetattr(slave)
    flags[3] |= termios.TOSTOP
    termios.tcsetattr(slave, termios.TCSANOW, flags)
def own_group():
    if behind: os.setpgid(0, 0)
    elif what != 'lost-without-control': fcntl.ioctl(0, termios.TIOCSCTTY, 0)
child = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, start_new_session=not behind,
                         preexec_fn=own_group)
signal.signal(signal.SIGALRM, lambda *_: (child.kill(), print('hangs', flush=True), os._exit(0)))
signal.alarm(40)
seen = b''
while b'Watching only' not in seen: seen += os.read(master, 65536)
if what == 'stopped':
    termios.tcflow(slave, termios.TCOOFF)
    time.sleep(3)
    child.send_signal(signal.SIGTERM)
elif behind:
    child.send_signal(signal.SIGTERM)
else:
    os.close(slave)
    if what == 'lost-while-stopping': child.send_signal(signal.SIGTERM)
    time.sleep(0.02)
    os.close(master)
    if what == 'lost-without-control': child.send_signal(signal.SIGTERM)
threading.Thread(target=lambda: behind and [None for _ in iter(lambda: os.read(master, 65536), b'')], daemon=True).start()
try: print(child.wait(20))
except subprocess.TimeoutExpired: child.kill(); print('hangs')
`;

/** The same, stopped once it is ready, and ended when something comes on standard input. */
const onStoppedTerminal = `
import fcntl, os, pty, signal, subprocess, sys, termios
master, slave = pty.openpty()
child = subprocess.Popen(sys.argv[1:], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                         preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
seen = b''
while b'info: ready' not in seen: seen += os.read(master, 65536)
termios.tcflow(slave, termios.TCOOFF)
print('stopped', flush=True)
sys.stdin.readline()
child.send_signal(signal.SIGTERM)
try: print(child.wait(20))
except subprocess.TimeoutExpired: child.kill(); print('hangs')
`;
