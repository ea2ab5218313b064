/**
 * Traffic that is not BitTorrent, made by the real programs, which also judge it: a download is compared by its
 * checksum, a tunnel must carry a download, a flood must arrive.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { serverV4, serverV6, type Host, type Lab } from './lab.js';
import { slowness, until, type Running } from './process.js';

const content = randomBytes(3_000_000);
const checksum = createHash('sha256').update(content).digest('hex');
const address = serverV4(2);
const address6 = serverV6(2);
const file = 'payload.bin';
const slowly = 'slowly';

export interface Benign {
  readonly name: string;
  /** Throws when the program was harmed. */
  run(): Promise<void>;
}

function sameContent(path: string): void {
  const found = createHash('sha256').update(readFileSync(path)).digest('hex');
  if (found !== checksum) throw new Error(`${path} differs from what was sent`);
}

/** Starts the servers once per lab and gives the clients' runs. */
export async function startBenign(lab: Lab): Promise<Benign[]> {
  lab.write(`www/${file}`, content);
  const parts = await Promise.all([
    web(lab),
    ssh(lab),
    names(lab),
    throughput(lab),
    openvpn(lab),
    wireguard(lab),
  ]);
  return [...parts.flat(), ...pings(lab)];
}

// --- HTTP and TLS

export async function startWeb(lab: Lab): Promise<Running> {
  lab.write(`www/${file}`, content);
  const [key, certificate] = [lab.path('web.key'), lab.path('web.crt')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const output = ['-keyout', key, '-out', certificate, '-days', '30', '-subj', '/CN=server.example'];
  await lab.run('server', ['openssl', 'req', '-x509', ...curve, ...output]);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${lab.folder}/nginx-${name};`)
    .join(' ');
  const config = lab.write(
    'nginx.conf',
    `daemon off; master_process off; pid ${lab.folder}/nginx.pid; error_log stderr;
     events { worker_connections 256; }
     http { access_log off; send_timeout 600s; ${temporary} default_type application/octet-stream;
       server { listen 80; listen [::]:80; listen 443 ssl; listen [::]:443 ssl;
         ssl_certificate ${certificate}; ssl_certificate_key ${key}; root ${lab.folder}/www;
         location /${slowly}/ { alias ${lab.folder}/www/; limit_rate $arg_rate; } } }\n`,
  );
  const running = lab.start('server', ['nginx', '-e', 'stderr', '-p', lab.folder, '-c', config]);
  await lab.listening('server', 443, 'tcp', running);
  return running;
}

let downloads = 0;

/** A download with curl, which a test can hold while something else is made ready. */
export class Download {
  readonly #curl: Running;
  readonly #target: string;

  constructor(lab: Lab, url: string, words: readonly string[] = [], host: Host = 'client') {
    this.#target = lab.path('downloads', String(downloads++));
    const argv = [
      'curl',
      '-sS',
      '-k',
      '--max-time',
      String(60 * slowness),
      ...words,
      '-o',
      this.#target,
      url,
    ];
    this.#curl = lab.start(host, argv, { name: argv.join(' ') });
  }

  /** Stops curl amid the transfer: the connection is open, and most of the content is still with the server. */
  async hold(): Promise<void> {
    const arrived = (): number => (existsSync(this.#target) ? statSync(this.#target).size : 0);
    await until(
      () => arrived() > 0 || this.#curl.exit !== null,
      15,
      () => `content of\n${this.#curl.tail()}`,
    );
    this.#curl.signal('SIGSTOP');
    const bytes = arrived();
    if (this.#curl.exit !== null || bytes > content.length / 2)
      throw new Error(`not held amid the transfer, ${bytes} bytes\n${this.#curl.tail()}`);
  }

  goOn(): void {
    this.#curl.signal('SIGCONT');
  }

  /** Waits for the end and compares what came. */
  async ends(): Promise<void> {
    await this.#curl.succeeds(70);
    sameContent(this.#target);
  }
}

/** Downloads the test content with curl and compares it; `words` are further options of curl. */
export async function download(
  lab: Lab,
  url: string,
  words: readonly string[] = [],
  host: Host = 'client',
): Promise<void> {
  await new Download(lab, url, words, host).ends();
}

export const webUrl = (scheme: 'http' | 'https', family: 4 | 6 = 4, path = file): string =>
  `${scheme}://${family === 4 ? address : `[${address6}]`}/${path}`;

/**
 * The same content at `rate` bytes per second, five seconds if left out: the server waits, since curl's own limit lets bursts of
 * megabytes pass.
 */
export const slowUrl = (scheme: 'http' | 'https', family: 4 | 6 = 4, rate = 600_000): string =>
  webUrl(scheme, family, `${slowly}/${file}?rate=${rate}`);

async function web(lab: Lab): Promise<Benign[]> {
  await startWeb(lab);
  return (['http', 'https'] as const).flatMap((scheme) =>
    ([4, 6] as const).map((family) => ({
      name: `${scheme} IPv${family}`,
      run: () => download(lab, webUrl(scheme, family)),
    })),
  );
}

// --- SSH

async function ssh(lab: Lab): Promise<Benign[]> {
  for (const name of ['host', 'user'])
    await lab.run('server', [
      'ssh-keygen',
      '-q',
      '-t',
      'ed25519',
      '-N',
      '',
      '-f',
      lab.path(`ssh/${name}key`),
    ]);
  const config = lab.write(
    'ssh/config',
    `HostKey ${lab.path('ssh/hostkey')}\nAuthorizedKeysFile ${lab.path('ssh/userkey.pub')}\nStrictModes no\nUsePAM no\n` +
      'PermitRootLogin yes\nPidFile none\nSubsystem sftp internal-sftp\nPort 22\n',
  );
  // sshd wants its empty folder; a private /run keeps this machine's own as it is.
  const script = `mount -t tmpfs none /run && mkdir /run/sshd && exec /usr/sbin/sshd -D -e -f ${config}`;
  const running = lab.start('server', ['unshare', '--mount', 'sh', '-c', script], { name: 'sshd' });
  await lab.listening('server', 22, 'tcp', running);
  const options = ['-o', 'StrictHostKeyChecking=no', '-o', `UserKnownHostsFile=${lab.path('ssh/known')}`];
  const login = ['-q', ...options, '-i', lab.path('ssh/userkey')];
  return [
    {
      name: 'ssh',
      run: async () => {
        const lines = await lab.run('client', ['ssh', ...login, `root@${address}`, 'seq 20000'], 40);
        if (!lines.endsWith('\n20000\n')) throw new Error(`ssh printed ${lines.length} characters of 108894`);
      },
    },
    {
      name: 'scp',
      run: async () => {
        const target = lab.path('ssh/copy');
        await lab.run('client', ['scp', ...login, `root@[${address6}]:${lab.path('www', file)}`, target], 40);
        sameContent(target);
      },
    },
  ];
}

// --- DNS, ping

async function names(lab: Lab): Promise<Benign[]> {
  const options = ['-k', '-C', '/dev/null', '--no-resolv', '--no-hosts', '-u', 'root', '--pid-file='];
  const running = lab.start('server', [
    'dnsmasq',
    ...options,
    '--address=/tracker.torrent.example/192.0.2.7',
  ]);
  await lab.listening('server', 53, 'udp', running);
  const ask = async (...words: string[]): Promise<void> => {
    for (let count = 0; count < 10; count++) {
      const answer = await lab.run('client', [
        'dig',
        '+short',
        '+tries=1',
        '+time=3',
        ...words,
        'tracker.torrent.example',
      ]);
      if (answer.trim() !== '192.0.2.7') throw new Error(`dig ${words.join(' ')}: "${answer.trim()}"`);
    }
  };
  return [
    { name: 'DNS UDP', run: () => ask(`@${address}`) },
    { name: 'DNS TCP', run: () => ask('+tcp', `@${address}`) },
    { name: 'DNS IPv6', run: () => ask(`@${address6}`) },
  ];
}

function pings(lab: Lab): Benign[] {
  return [address, address6].map((target) => ({
    name: `ping ${target}`,
    run: async () => {
      const text = await lab.run('client', ['ping', '-q', '-i', '0.05', '-c', '60', target]);
      if (!text.includes(' 60 received')) throw new Error(text);
    },
  }));
}

// --- throughput

interface IperfResult {
  readonly end: {
    readonly sum_received?: { readonly bytes: number };
    readonly sum?: { readonly lost_percent: number };
  };
}

async function throughput(lab: Lab): Promise<Benign[]> {
  const ports = [5201, 5202];
  for (const port of ports) {
    // Bound, because it would answer UDP from the server's first address.
    const running = lab.start('server', ['iperf3', '-s', '-B', address, '-p', String(port)]);
    await lab.listening('server', port, 'tcp', running);
  }
  const measure = async (port: number, ...words: string[]): Promise<IperfResult['end']> => {
    const argv = ['iperf3', '-J', '-c', address, '-p', String(port), '-t', '3', ...words];
    return (JSON.parse(await lab.run('client', argv, 40)) as IperfResult).end;
  };
  return [
    {
      name: 'iperf3 TCP',
      run: async () => {
        const { sum_received: received } = await measure(5201, '-b', '100M');
        if ((received?.bytes ?? 0) < 20_000_000)
          throw new Error(`only ${received?.bytes ?? 0} bytes of 37 million`);
      },
    },
    {
      name: 'iperf3 UDP',
      run: async () => {
        // Slow enough that the receiver's buffer outlasts the pauses of a busy machine: the loss is to be the filter's.
        const { sum } = await measure(5202, '-u', '-b', '5M', '-l', '1200');
        if (sum === undefined || sum.lost_percent > 1) throw new Error(`${sum?.lost_percent ?? 100} % lost`);
      },
    },
  ];
}

// --- tunnels

/** Downloads through a tunnel whose server end is `host`; repeated, because a tunnel needs a moment to come up. */
async function throughTunnel(lab: Lab, host: string, tunnel: Running): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await download(lab, `http://${host}/${file}`, ['--connect-timeout', '3']);
      return;
    } catch (error) {
      if (attempt === 6) throw new Error(`${String(error)}\n${tunnel.tail()}`, { cause: error });
      await sleep(500);
    }
  }
}

async function openvpn(lab: Lab): Promise<Benign[]> {
  const key = lab.path('vpn', 'static.key');
  await lab.run('server', ['openvpn', '--genkey', 'secret', key]);
  const common = ['openvpn', '--dev', 'tun-vpn', '--dev-type', 'tun', '--port', '1194', '--secret', key];
  const argv = (local: string, remote: string, side: string): string[] => [
    ...[...common, '--ifconfig', local, remote, '--cipher', 'AES-256-CBC', '--keepalive', '5', '30'],
    ...[side, address],
  ];
  const server = lab.start('server', argv('10.98.0.1', '10.98.0.2', '--local'));
  await server.outputs('UDPv4 link', 15);
  return [
    {
      name: 'OpenVPN',
      run: async () => {
        const tunnel = lab.start('client', argv('10.98.0.2', '10.98.0.1', '--remote'));
        await tunnel.outputs('Initialization Sequence Completed', 25);
        await throughTunnel(lab, '10.98.0.1', tunnel);
        await tunnel.stop();
      },
    },
  ];
}

async function wireguardEnd(lab: Lab, host: Host, setup: string): Promise<Running> {
  const script = `umask 077; wireguard-go -f wg-e2e & until wg show wg-e2e >/dev/null 2>&1; do sleep 0.1; done
    ${setup} && ip link set wg-e2e up && echo tunnel ready; wait`;
  // Its control socket stands in /run/wireguard, which both ends would share.
  const shell = `mount -t tmpfs none /run && mkdir /run/wireguard\n${script}`;
  const env = { WG_PROCESS_FOREGROUND: '1', LOG_LEVEL: 'error' };
  const running = lab.start(host, ['unshare', '--mount', 'sh', '-c', shell], { name: 'wireguard-go', env });
  await running.outputs('tunnel ready', 15);
  return running;
}

async function wireguard(lab: Lab): Promise<Benign[]> {
  const keys: Record<string, { file: string; public: string }> = {};
  for (const end of ['server', 'client']) {
    const path = lab.write(`wg/${end}.key`, await lab.run('server', ['wg', 'genkey']), 0o600);
    const text = await lab.run('server', ['sh', '-c', 'wg pubkey <"$0"', path]);
    keys[end] = { file: path, public: text.trim() };
  }
  const setup = (own: string, other: string, ours: string, words: string): string =>
    `wg set wg-e2e private-key ${keys[own]!.file} peer ${keys[other]!.public} ${words} && ip addr add ${ours}/24 dev wg-e2e`;
  await wireguardEnd(
    lab,
    'server',
    `wg set wg-e2e listen-port 51820 && ${setup('server', 'client', '10.99.0.1', 'allowed-ips 10.99.0.2/32')}`,
  );
  const client = setup('client', 'server', '10.99.0.2', `endpoint ${address}:51820 allowed-ips 10.99.0.0/24`);
  return [
    {
      name: 'WireGuard',
      run: async () => {
        const tunnel = await wireguardEnd(lab, 'client', client);
        await throughTunnel(lab, '10.99.0.1', tunnel);
        await tunnel.stop();
      },
    },
  ];
}
