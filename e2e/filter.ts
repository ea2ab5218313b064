/** `swarmgate run` or `monitor` in a namespace of the lab: started, asked, stopped; and stand-ins that try the tests themselves. */
import { existsSync, readFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import type { StatusReport } from '../lib/report/status.js';
import { program } from '../lib/testing.js';
import type { Host, Lab } from './lab.js';
import type { Exit, Running } from './process.js';

export interface FilterOptions {
  /** `run` when left out; `monitor` is told its interfaces by `words` and has no mode. */
  readonly command?: 'run' | 'monitor';
  readonly mode: 'enforce' | 'monitor';
  /** Where it runs; the router when left out. */
  readonly host?: Host;
  /** Text of a configuration file. */
  readonly config?: string;
  readonly workers?: number;
  /** Further words of the command line. */
  readonly words?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A flow that was named, by the EVE log or in the status. */
export interface Sighting {
  readonly addresses: readonly string[];
  readonly ports: readonly number[];
  readonly kind: string;
  readonly action: string;
}

const readySeconds = 20;
let filterNumber = 0;
const started: Filter[] = [];

export class Filter {
  private constructor(
    readonly process: Running,
    readonly socket: string,
    readonly eve: string,
    readonly configFile: string,
  ) {}

  /** Starts it and does not wait. */
  static spawn(lab: Lab, options: FilterOptions): Filter {
    const name = `filter-${filterNumber++}`;
    const socket = lab.path(name, 'control.sock');
    const eve = lab.path(name, 'eve.json');
    const configFile = lab.path(name, 'swarmgate.yaml');
    if (options.config !== undefined) lab.write(`${name}/swarmgate.yaml`, options.config);
    const argv = [
      ...[process.execPath, program, options.command ?? 'run', '--socket', socket, '--eve', eve],
      ...(options.command === 'monitor' ? [] : ['--mode', options.mode]),
      ...['--workers', String(options.workers ?? 2)],
      ...(options.config === undefined ? [] : ['--config', configFile]),
      ...(options.words ?? []),
    ];
    const settings = { name, ...(options.env === undefined ? {} : { env: options.env }) };
    const filter = new Filter(lab.start(options.host ?? 'router', argv, settings), socket, eve, configFile);
    started.push(filter);
    return filter;
  }

  /** Ends those that a failed test left. */
  static async stopAll(): Promise<void> {
    for (const { process: running } of started.splice(0)) {
      running.signal('SIGCONT');
      await running.stop('SIGTERM', 10);
    }
  }

  static async start(lab: Lab, options: FilterOptions): Promise<Filter> {
    const filter = Filter.spawn(lab, options);
    await filter.process.outputs('swarmgate: info: ready', readySeconds);
    return filter;
  }

  async status(): Promise<StatusReport> {
    const reply = JSON.parse(await this.request({ verb: 'status', all: true })) as {
      ok: boolean;
      result: StatusReport;
    };
    if (!reply.ok) throw new Error(`status: ${JSON.stringify(reply)}\n${this.process.tail()}`);
    return reply.result;
  }

  /** Collects the decisions until `end`: the status holds only the last ones. */
  watchDecisions(): { end: () => Promise<Sighting[]> } {
    const found = new Map<string, Sighting>();
    const look = async (): Promise<void> => {
      for (const { flow, action, time } of (await this.status()).decisions) {
        const ports = [flow.client_port, flow.server_port];
        const addresses = [flow.client, flow.server];
        found.set(`${time} ${String(ports)}`, { addresses, ports, kind: flow.kind ?? 'none', action });
      }
    };
    const timer = setInterval(() => {
      look().catch(() => undefined);
    }, 1000);
    // A failed test never calls `end`; that must not keep the process alive.
    timer.unref();
    return {
      end: async () => {
        clearInterval(timer);
        await look();
        return [...found.values()];
      },
    };
  }

  /** One request on the control socket, one line of answer. */
  request(message: object): Promise<string> {
    return new Promise((resolve, reject) => {
      let answer = '';
      const connection = createConnection(this.socket);
      connection.setEncoding('utf8').setTimeout(10_000, () => {
        connection.destroy(new Error(`no answer to ${JSON.stringify(message)}`));
      });
      connection.on('data', (text: string) => {
        answer += text;
        if (answer.includes('\n')) connection.end();
      });
      connection.once('error', reject).once('close', () => {
        resolve(answer);
      });
      connection.write(`${JSON.stringify(message)}\n`);
    });
  }

  /** Every alert that the EVE file holds. */
  alerts(): Sighting[] {
    if (!existsSync(this.eve)) return [];
    return readFileSync(this.eve, 'utf8')
      .split('\n')
      .filter((line) => line.includes('"alert"'))
      .map((line) => JSON.parse(line) as EveEvent)
      .filter((event) => event.event_type === 'alert')
      .map(alertOf);
  }

  /** Orderly stop; anything but exit 0 is an error. */
  async stop(): Promise<Exit> {
    const exit = await this.process.stop('SIGTERM', 10);
    if (exit.code !== 0)
      throw new Error(`the filter did not stop in the orderly way\n${this.process.tail()}`);
    return exit;
  }
}

interface EveEvent {
  readonly event_type: string;
  readonly src_ip: string;
  readonly src_port: number;
  readonly dest_ip: string;
  readonly dest_port: number;
  readonly alert: { readonly action: string; readonly metadata: { readonly tag: readonly string[] } };
}

function alertOf(event: EveEvent): Sighting {
  const kind = event.alert.metadata.tag.find((tag) => tag.startsWith('kind:')) ?? 'kind:none';
  return {
    addresses: [event.src_ip, event.dest_ip].map(shortAddress),
    ports: [event.src_port, event.dest_port],
    kind: kind.slice('kind:'.length),
    action: event.alert.action,
  };
}

/** EVE may write IPv6 addresses in full. */
function shortAddress(address: string): string {
  return address.includes(':') ? new URL(`http://[${address}]/`).hostname.slice(1, -1) : address;
}

/** A table that exists and holds nothing; iptables makes such when it is first asked. */
const emptyTable = /^\*\w+\n(?::[A-Z]+ ACCEPT \n)+COMMIT\n/gm;

/** What iptables holds in a namespace, both families, without counters, dates, and tables that are as at boot. */
export function savedRules(lab: Lab, host: Host = 'router'): string {
  return ['iptables-save', 'ip6tables-save']
    .map((command) => lab.runNow(host, [command]))
    .map((text) =>
      text
        .replace(/^#.*\n/gm, '')
        .replace(/\[\d+:\d+\]/g, '')
        .replace(emptyTable, ''),
    )
    .join('');
}

/** A stand-in for the filter: peers cannot reach the server's network at all. */
export function standIn(lab: Lab): void {
  for (const command of ['iptables', 'ip6tables'])
    for (const protocol of ['tcp', 'udp'])
      lab.runNow('router', [command, '-I', 'FORWARD', '-p', protocol, '-j', 'DROP']);
}
