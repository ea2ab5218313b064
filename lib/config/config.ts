/**
 * The configuration as the rest of the program sees it: complete, checked, in plain units. `load.ts` makes it from
 * defaults, the YAML file, environment and flags, in this order; later wins.
 */
import type { Kind } from '../../detectors/detector.js';

export type Mode = 'monitor' | 'enforce';
export type Action = 'drop' | 'reject';
export type RulesChoice = 'auto' | 'nft' | 'iptables' | 'none';
export type SourceChoice = 'auto' | 'ring' | 'cap';
export type LogLevelName = 'error' | 'warn' | 'info' | 'debug';

export interface Config {
  /** monitor never blocks. */
  readonly mode: Mode;
  /** What is done about encrypted peer connections. */
  readonly encrypted: 'off' | 'corroborated' | 'shape';
  /** Names control socket, rules and state. */
  readonly instance: string;
  /** Worker threads, each with its own queue; 'auto' is 2 x cores, see workerCount. */
  readonly workers: number | 'auto';
  /** Packets per batch, 1 to 256. */
  readonly batch: number;
  readonly queue: {
    /** First queue number, 0 to 65535; the workers use this one and those after it. */
    readonly first: number;
    /** Packets that the kernel holds per queue. */
    readonly length: number;
    /** Bytes of each packet that are copied to us. */
    readonly copyBytes: number;
    readonly receiveBufferBytes: number;
  };
  readonly traffic: {
    readonly forwarded: boolean;
    readonly local: boolean;
    readonly interfaces: readonly string[];
    /** Between the two of a pair this instance inspects, whatever the other two lists say. */
    readonly pairs: readonly (readonly [string, string])[];
    /** Left to other instances. */
    readonly leaveInterfaces: readonly string[];
  };
  /** Processors that threads are confined to; null: not confined. */
  readonly affinity: {
    /** Each worker to the whole list. */
    readonly data: readonly number[] | null;
    readonly control: readonly number[] | null;
  };
  /** What `monitor` watches. */
  readonly capture: {
    readonly interfaces: readonly string[];
    readonly source: SourceChoice;
    /** In libpcap's language, '' for everything. */
    readonly filter: string;
    readonly snapBytes: number;
    readonly promiscuous: boolean;
    /** Of all rings between captures and workers together. */
    readonly ringBytes: number;
    /** Of the ring that the kernel fills, per interface. */
    readonly kernelBytes: number;
    readonly save: {
      /** Null: packets are not saved. */
      readonly directory: string | null;
      readonly fileBytes: number;
      readonly files: number;
    };
  };
  readonly rules: RulesChoice;
  readonly markMask: number;
  readonly action: {
    readonly default: Action;
    readonly kinds: Readonly<Partial<Record<Kind, Action | 'accept'>>>;
  };
  /** What is never inspected, or (info-hashes) never blocked. */
  readonly allow: {
    /** CIDR texts, IPv4 and IPv6; either end of a flow. */
    readonly networks: readonly string[];
    /** Port numbers or ranges "6000-6010"; either end of a flow. */
    readonly ports: readonly { readonly first: number; readonly last: number }[];
    /** Names; in or out. */
    readonly interfaces: readonly string[];
    /** Source hardware addresses "aa:bb:cc:dd:ee:ff", lower case. */
    readonly macs: readonly string[];
    /** 40 or 64 hex digits, lower case. */
    readonly infoHashes: readonly string[];
  };
  /** Names of hosts and protocols that the operator lists as BitTorrent. */
  readonly names: {
    /** As NameSet takes them. */
    readonly block: readonly string[];
    /** Paths of lists, one name a line. */
    readonly files: readonly string[];
    /** ALPN protocol ids. */
    readonly alpn: readonly string[];
    /** What `block` and `files` hold, each name once. */
    readonly listed: readonly string[];
  };
  /** Names of detectors that are switched off. */
  readonly detectorsOff: readonly string[];
  readonly limits: {
    /** Flows tracked at once, over all workers. */
    readonly flows: number;
    /** Payload packets of both sides after which an unrecognised flow is let go. */
    readonly inspectedPackets: number;
    /** The same for a flow that was recognised as another protocol. */
    readonly inspectedPacketsClear: number;
  };
  readonly control: {
    /** Unix socket path. */
    readonly socket: string;
  };
  readonly metrics: {
    /** "address:port", or null for off. */
    readonly listen: string | null;
  };
  readonly eve: {
    /** Path, "-" for standard output, or null for off. */
    readonly file: string | null;
    /** Also flows that passed in doubt. */
    readonly suspects: boolean;
    /** Records per second at the most. */
    readonly perSecond: number;
  };
  readonly log: {
    readonly level: LogLevelName;
  };
}

/** Whether the operator lists names or protocols, or named a file to list them in. */
export function wantsNames({ names }: Pick<Config, 'names'>): boolean {
  return names.block.length > 0 || names.files.length > 0 || names.alpn.length > 0;
}

/** Rings of each worker: one from each interface, and one for the packets that it has saved. */
export function ringsOf({ interfaces, save }: Config['capture']): number {
  return interfaces.length + (save.directory === null ? 0 : 1);
}

/** One thing that is wrong with a configuration, and where. */
export interface ConfigProblem {
  /** File, "environment" or "command line". */
  readonly source: string;
  /** From 1; null outside files. */
  readonly line: number | null;
  /** "queue.copy_bytes". */
  readonly path: string;
  /** What is wrong and what would be right. */
  readonly message: string;
}

/** The source of what was given as a flag. */
export const commandLine = 'command line';

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code = 'config-invalid';

  /** True if all that is wrong are flags of the command line. */
  get isUsage(): boolean {
    return this.problems.length > 0 && this.problems.every(({ source }) => source === commandLine);
  }

  constructor(readonly problems: readonly ConfigProblem[]) {
    super(
      problems
        .map(
          ({ source, line, path, message }) =>
            `${source}${line === null ? '' : `:${line}`}: ${path === '' ? '' : `${path}: `}${message}`,
        )
        .join('\n'),
    );
  }
}
