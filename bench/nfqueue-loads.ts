/** The loads of the queue benchmark: what is sent through the router, and what is read afterwards. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { builtPath, type Consumer } from './nfqueue-consumers.js';
import { type BenchNetwork, echoPort, floodNetwork, sinkHost } from './nfqueue-network.js';
import type { Figures, MemoryFigures } from './nfqueue-report.js';
import { percentile } from './nfqueue-report.js';

const payloadBytes = 20;
/** Packets of one flow, sent at once: fewer than the filter looks at before it lets a flow go, so all are inspected. */
const briefFlowPackets = 8;
const ordinaryFlows = 1024;
/** They are never answered, and so looked at for 512 packets: long enough that most come after that. */
const ordinaryTimes = 3;
export const lossRate = 100_000;
/** Packets of one port of the echo: with the answers half as many as a flow is looked at. */
const packetsPerPort = 8;
const trips = 500;
const idlePauseMicros = 1500;
const busyPauseMicros = 500;

interface Flood {
  /** Packets per second; 0 has no limit. */
  readonly rate: number;
  readonly seconds: number;
  /** Flows in turn; 0: none comes again. */
  readonly flows: number;
  readonly burst?: number;
  /** Packets after which it is over, if that is sooner. */
  readonly packets?: number;
}

function generate(network: BenchNetwork, flood: Flood): Promise<string> {
  const { rate, seconds, flows, burst = briefFlowPackets, packets = 0 } = flood;
  const words = [floodNetwork.first, rate, seconds, payloadBytes, burst, flows, packets];
  return network.output('left', builtPath('generate'), words.map(String));
}

interface FloodFigures {
  readonly offered: number;
  readonly forwarded: number;
  readonly handled: number;
  /** Share of the forwarded packets that user space saw. */
  readonly seenPercent: number;
  readonly lossPercent: number;
  readonly userMicros: number;
  readonly systemMicros: number;
}

/** Sends, waits until nothing arrives any more, and counts at both ends and in between. */
async function flood(network: BenchNetwork, what: Flood): Promise<FloodFigures> {
  const arrivedBefore = await network.arrived();
  const seenBefore = await network.seen();
  const timeBefore = network.processorTime();
  const printed = await generate(network, what);
  const [sent, took] = printed.trim().split(' ').map(Number) as [number, number];
  const arrived = (await network.arrived()) - arrivedBefore;
  const time = network.processorTime();
  const seen = seenBefore === null ? arrived : (await network.seen())! - seenBefore;
  const micros = (part: 0 | 1): number => ((time[part] - timeBefore[part]) * 1e6) / seen;
  return {
    offered: sent / took,
    forwarded: arrived / took,
    handled: seen / took,
    seenPercent: (100 * seen) / arrived,
    lossPercent: Math.max(0, 100 * (1 - arrived / sent)),
    userMicros: micros(0),
    systemMicros: micros(1),
  };
}

async function roundTrips(
  network: BenchNetwork,
  count: number,
  pauseMicros: number,
  perFlow: number,
): Promise<number[]> {
  const words = ['ask', sinkHost, echoPort, count, pauseMicros, perFlow];
  const printed = await network.output('left', builtPath('echo'), words.map(String));
  // A lost packet is a trip that never ended.
  return printed
    .trim()
    .split('\n')
    .map(Number)
    .map((micros) => (micros < 0 ? Number.POSITIVE_INFINITY : micros));
}

interface IperfResult {
  readonly end: {
    readonly sum_sent: { readonly retransmits?: number };
    readonly sum_received: { readonly bits_per_second: number };
  };
}

interface Transfer {
  readonly gigabits: number;
  readonly retransmits: number;
  readonly seen: number | null;
}

/** While a server of iperf3 runs at the right end. */
async function withServer<Result>(network: BenchNetwork, work: () => Promise<Result>): Promise<Result> {
  const server = network.spawn('right', 'iperf3', ['-s']);
  const gone = once(server, 'exit');
  await sleep(300);
  try {
    return await work();
  } finally {
    server.kill('SIGKILL');
    await gone;
  }
}

/** One transfer; by the sender's default without `control`. */
function transfer(network: BenchNetwork, seconds: number, control?: string): Promise<Transfer> {
  return withServer(network, async () => {
    const before = await network.seen();
    const words = ['-c', sinkHost, '-t', String(seconds), '-J'];
    if (control !== undefined) words.push('-C', control);
    const printed = await network.output('left', 'iperf3', words);
    const seen = await network.seen();
    const { end } = JSON.parse(printed) as IperfResult;
    return {
      gigabits: end.sum_received.bits_per_second / 1e9,
      retransmits: end.sum_sent.retransmits ?? Number.NaN,
      seen: seen === null || before === null ? null : seen - before,
    };
  });
}

/** Transfers in each direction whose order is looked at; each lasts as long as a flow needs to be handed to the kernel, and a while. */
const shortTransfers = 10;
const shortTransfer = '3M';

/** Segments of each short transfer, as large as TCP has them, that it put aside because one before them was late or lost. */
function disorder(network: BenchNetwork): Promise<number> {
  return withServer(network, async () => {
    const before = network.outOfOrder();
    for (const direction of [[], ['-R']]) {
      for (let i = 0; i < shortTransfers; i++)
        await network.output('left', 'iperf3', ['-c', sinkHost, '-n', shortTransfer, ...direction]);
    }
    return (network.outOfOrder() - before) / (2 * shortTransfers);
  });
}

/** By the machine's default congestion control, and by cubic and reno where the kernel has them. */
async function tcp(network: BenchNetwork, seconds: number): Promise<Figures> {
  const { gigabits, retransmits, seen } = await transfer(network, seconds);
  const by = async (control: string): Promise<number | null> =>
    network.congestionControls.includes(control)
      ? (await transfer(network, seconds, control)).gigabits
      : null;
  const cubic = await by('cubic');
  const reno = await by('reno');
  return {
    ...{ gigabits, retransmits, disorder: await disorder(network) },
    ...(seen === null ? {} : { tcpSeen: seen }),
    ...(cubic === null ? {} : { gigabitsCubic: cubic }),
    ...(reno === null ? {} : { gigabitsReno: reno }),
  };
}

/** TCP alone: so short that all consumers are measured within the same minute. */
export async function measureTcp(
  network: BenchNetwork,
  consumer: Consumer,
  seconds: number,
): Promise<Figures> {
  await network.start(consumer);
  try {
    return await tcp(network, seconds);
  } finally {
    await network.stop();
  }
}

/** All loads of one consumer but TCP, in the order in which one needs the other's result. */
export async function measure(network: BenchNetwork, consumer: Consumer, seconds: number): Promise<Figures> {
  await network.start(consumer);
  const wants = new Set(consumer.loads);
  let figures: Figures = {};
  try {
    // Let a compiler warm up on real packets before anything is timed.
    await generate(network, { rate: 40_000, seconds: 0.5, flows: 0 });
    if (wants.has('overload')) {
      const found = await flood(network, { rate: 0, seconds, flows: 0 });
      const { offered, forwarded, handled, seenPercent, userMicros, systemMicros } = found;
      figures = { offered, forwarded, handled, seenPercent };
      // Without a consumer there is nobody whose time it is.
      if (consumer.command !== null) figures = { ...figures, userMicros, systemMicros };
    }
    if (wants.has('ordinary')) {
      const load = { rate: 0, seconds: ordinaryTimes * seconds, flows: ordinaryFlows };
      const { forwarded, seenPercent } = await flood(network, load);
      figures = { ...figures, ordinary: forwarded, ordinarySeen: seenPercent };
    }
    if (wants.has('loss')) {
      const { lossPercent, seenPercent } = await flood(network, { rate: lossRate, seconds, flows: 0 });
      figures = { ...figures, loss: lossPercent, lossSeen: seenPercent };
    }
    if (wants.has('idle')) {
      const times = await roundTrips(network, trips, idlePauseMicros, packetsPerPort);
      figures = { ...figures, idleMedian: percentile(times, 0.5), idleLate: percentile(times, 0.99) };
      const goesOn = await roundTrips(network, trips, idlePauseMicros, trips);
      figures = { ...figures, goesOnMedian: percentile(goesOn, 0.5), goesOnLate: percentile(goesOn, 0.99) };
    }
    if (wants.has('half')) {
      const load = generate(network, { rate: figures.handled! / 2, seconds: 1.2, flows: 0 });
      await sleep(100);
      const times = await roundTrips(network, 2 * trips, busyPauseMicros, packetsPerPort);
      await load;
      figures = { ...figures, halfMedian: percentile(times, 0.5), halfLate: percentile(times, 0.99) };
    }
    return figures;
  } finally {
    await network.stop();
  }
}

const memoryFlows = 212_000;

/** What the whole process of a consumer counted 'by-status' takes with its tables full of flows. */
export async function measureMemory(network: BenchNetwork, consumer: Consumer): Promise<MemoryFigures> {
  await network.start(consumer);
  try {
    const idleBytes = network.memory('VmRSS');
    const begin = Date.now();
    await generate(network, { rate: 60_000, seconds: 30, flows: 0, burst: 2, packets: 2 * memoryFlows });
    const seconds = (Date.now() - begin) / 1000;
    const { flows, workers, packets } = await network.status();
    return {
      ...{ flows: flows.now, evicted: flows.evicted, workers: workers.length, packets, seconds, idleBytes },
      ...{ peakBytes: network.memory('VmHWM'), residentBytes: network.memory('VmRSS') },
    };
  } finally {
    await network.stop();
  }
}
