/** `swarmgate explain`: the chain of evidence of one flow, of a capture file or of a running filter. */
import type { Argv, CommandModule } from 'yargs';
import { More, Yes, type Detector, type View } from '../detectors/detector.js';
import { registryWith } from '../detectors/index.js';
import type { Tracer } from '../lib/engine/inspect.js';
import type { Sighting } from '../lib/engine/evidence.js';
import { sFirstFrame, wordStride } from '../lib/flow/table.js';
import type { FlowEnds } from '../lib/report/decision-list.js';
import { jsonText } from '../lib/report/escape.js';
import { plural } from '../lib/report/format.js';
import { Log } from '../lib/report/log.js';
import { explainLive, type LiveExplanation } from '../lib/report/explain-live.js';
import { explainFlow, type TraceLine } from '../lib/report/explain.js';
import type { FlowReport } from '../lib/report/report.js';
import { addressText, parseAddress } from '../lib/wire/address.js';
import type { Packet } from '../lib/wire/packet.js';
import { askInstance, controlOptions, mayColour, type ControlArguments } from './control.js';
import { exitIncomplete, exitOk, UserError } from './errors.js';
import { refuseRepeated, regularInput, unprotectWord, type Input } from './inputs.js';
import { nameFlags, listedIn, nameWords, type NameArguments } from './name-flags.js';
import { ReportOutput } from './output.js';
import { Scanner } from './scanner.js';

interface ExplainArguments extends ControlArguments, NameArguments {
  file: string | undefined;
  live: string | undefined;
  flow: string | undefined;
  frame: number | undefined;
  json: boolean;
}

/** Lines kept of one flow's trace; a flow is asked about 64 packets of each side at the most. */
const traceLinesMax = 8192;
/** Connections between the two ends that are explained, the first of them: ports are used again and again. */
const flowsMax = 100;

interface Endpoints {
  readonly proto: number | null;
  readonly a: readonly number[];
  readonly aPort: number;
  readonly b: readonly number[];
  readonly bPort: number;
}

/** `[tcp:|udp:]ADDRESS:PORT-ADDRESS:PORT`, IPv6 in brackets; the order of the two ends does not matter. */
export function parseFlow(text: string, option = '--flow'): Endpoints {
  const match = /^(?:(tcp|udp):)?(\[[^\]]+\]|[^[\]:]+):(\d+)-(\[[^\]]+\]|[^[\]:]+):(\d+)$/i.exec(text.trim());
  const ends =
    match === null ? null : [match[2]!, match[4]!].map((end) => parseAddress(end.replace(/^\[|\]$/g, '')));
  const ports = match === null ? [] : [Number(match[3]), Number(match[5])];
  if (
    match === null ||
    ends === null ||
    ends[0] === null ||
    ends[1] === null ||
    ports.some((port) => port > 65535)
  ) {
    throw new UserError(
      'bad-argument',
      `${option} ${text}: write tcp:10.0.0.1:50000-10.0.0.2:6881, or udp:[2001:db8::1]:6881-[2001:db8::2]:6881` +
        (option === '--flow' ? '; or give --frame N' : ''),
    );
  }
  const proto = match[1] === undefined ? null : match[1].toLowerCase() === 'tcp' ? 6 : 17;
  return { proto, a: ends[0]!, aPort: ports[0]!, b: ends[1]!, bPort: ports[1]! };
}

function isBetween(packet: Packet, flow: Endpoints): boolean {
  if (flow.proto !== null && flow.proto !== packet.protocol) return false;
  const source = [packet.source0, packet.source1, packet.source2, packet.source3];
  const destination = [packet.destination0, packet.destination1, packet.destination2, packet.destination3];
  const same = (words: readonly number[], end: readonly number[]): boolean =>
    (end.length === 4) === (packet.ipVersion === 6) && end.every((word, i) => (word | 0) === words[i]);
  return (
    (same(source, flow.a) &&
      packet.sourcePort === flow.aPort &&
      same(destination, flow.b) &&
      packet.destinationPort === flow.bPort) ||
    (same(source, flow.b) &&
      packet.sourcePort === flow.bPort &&
      same(destination, flow.a) &&
      packet.destinationPort === flow.aPort)
  );
}

/** Collects what detectors answered about the wanted flows. */
class Trace implements Tracer {
  readonly lines: TraceLine[] = [];
  /** Wanted flows that began after the first hundred. */
  leftOut = 0;
  #followed = 0;
  readonly #wanted: (packet: Packet, frame: number) => boolean;

  constructor(wanted: (packet: Packet, frame: number) => boolean) {
    this.#wanted = wanted;
  }

  wants(packet: Packet, frame: number): boolean {
    if (!this.#wanted(packet, frame)) return false;
    if (this.#followed < flowsMax) {
      this.#followed++;
      return true;
    }
    this.leftOut++;
    return false;
  }

  answer(detector: Detector, outcome: number, view: View, where: Readonly<Sighting>): void {
    if (this.lines.length >= traceLinesMax) return;
    const near = outcome === 0 && view.near >= 0;
    this.lines.push({
      packet: where.packet,
      frame: where.frame,
      side: where.side === 0 ? 'client' : 'server',
      detector: detector.name,
      outcome: outcome === Yes ? 'yes' : outcome === More ? 'more' : near ? 'near' : 'no',
      text:
        outcome === Yes ? detector.findings[view.finding]!.text : near ? detector.nearMisses[view.near]! : '',
    });
  }
}

/** Scans once to learn in which frame the flow begins that this frame belongs to. */
async function firstFrameOf(input: Input, frame: number): Promise<number> {
  let found = -1;
  const scanner = new Scanner({
    continuous: false,
    onFlow: () => undefined,
    onPacket: (engine, packet, number) => {
      if (number !== frame) return;
      const slot = engine.flows.find(packet);
      if (slot >= 0) found = engine.flows.words[slot * wordStride + sFirstFrame]!;
    },
  });
  await scanner.run([input]);
  if (found >= 0) return found;
  throw noSuchFlow(scanner, `${input.path}: frame ${frame} does not exist or belongs to no TCP or UDP flow`);
}

/** A file that could not be read is the reason, where it is one. */
function noSuchFlow(scanner: Scanner, otherwise: string): UserError {
  const [warning] = scanner.summary().warnings;
  return new UserError(warning?.code ?? 'no-such-flow', warning?.message ?? otherwise, exitIncomplete);
}

async function wantedFlow(
  options: ExplainArguments,
  input: Input,
): Promise<(packet: Packet, frame: number) => boolean> {
  const { flow, frame } = options;
  if (flow !== undefined) {
    const ends = parseFlow(flow);
    return (packet) => isBetween(packet, ends);
  }
  const first = await firstFrameOf(input, frame ?? 0);
  return (_packet, number) => number === first;
}

/** The ends as the protocol names them: addresses in the one form that reports use. */
function flowEnds({ proto, a, aPort, b, bPort }: Endpoints): FlowEnds {
  const text = (words: readonly number[]): string =>
    addressText(words.length === 1 ? 4 : 6, Int32Array.from(words), 0);
  return {
    proto: proto === null ? null : proto === 6 ? 'tcp' : 'udp',
    a: text(a),
    a_port: aPort,
    b: text(b),
    b_port: bPort,
  };
}

async function runLive(options: ExplainArguments, flow: string): Promise<number> {
  const ends = flowEnds(parseFlow(flow, '--live'));
  const answer = (await askInstance(options, 'explain', { ...ends })) as LiveExplanation;
  const text = options.json
    ? answer.flow === null && answer.decision === null && answer.doubt === null
      ? null
      : `${jsonText(answer)}\n`
    : explainLive(answer, terminal());
  if (text === null) {
    const why = `${flow}: the running swarmgate does not track this flow, and it is not among the last decisions or doubts`;
    throw new UserError('no-such-flow', why, exitIncomplete);
  }
  process.stdout.write(text);
  return exitOk;
}

function terminal(): { colour: boolean; columns: number } {
  return { colour: mayColour(), columns: process.stdout.isTTY ? process.stdout.columns : 100 };
}

async function run(options: ExplainArguments): Promise<number> {
  if (options.live !== undefined) return runLive(options, options.live);
  const input = regularInput(options.file ?? '');
  const output = ReportOutput.standard();
  const trace = new Trace(await wantedFlow(options, input));
  const reports: { report: FlowReport; lines: TraceLine[] }[] = [];
  const scanner = new Scanner({
    continuous: false,
    tracer: trace,
    registry: registryWith(listedIn(await nameWords(options))),
    onFlow: (flow) => {
      if (!flow.traced) return;
      const report = flow.report();
      const frames = (line: TraceLine): boolean => line.frame >= report.first_packet;
      reports.push({ report, lines: trace.lines.filter(frames) });
    },
  });
  await scanner.run([input]);
  if (reports.length === 0)
    throw noSuchFlow(scanner, `${input.path}: no such flow; swarmgate scan --format jsonl lists them`);
  for (const { report, lines } of reports) {
    output.write(
      options.json
        ? `${JSON.stringify({ ...report, trace: lines })}\n`
        : explainFlow(report, lines, terminal()),
    );
  }
  await output.close();
  if (trace.leftOut > 0) {
    const why = `${plural(trace.leftOut, 'further connection')} between these ends are not shown; give --frame N`;
    new Log('warn').warn(why, 'flows-left-out');
  }
  return scanner.incomplete > 0 ? exitIncomplete : exitOk;
}

function build(yargs: Argv): Argv<ExplainArguments> {
  return yargs
    .positional('file', {
      describe: 'a capture file',
      type: 'string',
      coerce: (word: string | undefined) => (word === undefined ? word : unprotectWord(word)),
    })
    .option('flow', {
      describe: 'the two ends of the flow: [tcp:|udp:]ADDRESS:PORT-ADDRESS:PORT',
      type: 'string',
      requiresArg: true,
    })
    .option('frame', {
      describe: 'any frame of the flow, as Wireshark counts',
      type: 'number',
      requiresArg: true,
    })
    .option('live', {
      describe: 'a flow of the running filter, instead of a file',
      type: 'string',
      requiresArg: true,
    })
    .options(nameFlags)
    .options(controlOptions)
    .option('json', { describe: 'one JSON object with the whole trace', type: 'boolean', default: false })
    .conflicts('flow', 'frame')
    .conflicts('live', ['flow', 'frame', 'file'])
    .check((options) => {
      refuseRepeated(options, ['flow', 'frame', 'live', 'instance', 'socket']);
      const { flow, frame, live, file } = options;
      if (live !== undefined) return true;
      if (file === undefined) {
        throw new UserError('bad-argument', 'which file? or give --live FLOW for the running filter');
      }
      if (flow === undefined && frame === undefined) {
        throw new UserError('bad-argument', 'which flow? give --frame N or --flow FLOW');
      }
      if (frame !== undefined && !(Number.isInteger(frame) && frame > 0)) {
        throw new UserError('bad-argument', '--frame: a whole number from 1');
      }
      return true;
    })
    .example('$0 explain capture.pcap --frame 17', 'the flow that frame 17 belongs to')
    .example(
      '$0 explain capture.pcap --flow tcp:10.0.0.1:50000-10.0.0.2:6881',
      'the flow between two endpoints',
    )
    .example(
      '$0 explain --live 10.0.0.1:50000-10.0.0.2:6881',
      'a flow of the running filter',
    ) as unknown as Argv<ExplainArguments>;
}

export const explainCommand: CommandModule<object, ExplainArguments> = {
  command: 'explain [file]',
  describe: 'print the chain of evidence of one flow, of a capture file or live',
  builder: build,
  handler: async (options) => {
    process.exitCode = await run(options);
  },
};
