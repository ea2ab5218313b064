/** Parts `decode`, `flow` and `engine`: what a packet of the mix costs, step by step, without reading the file. */
import { benchDecode, benchEngine, benchFlow } from './engine.js';
import { ns } from './part-detectors.js';
import { mixOf, type Context } from './context.js';
import { describeMix } from './part-programs.js';
import { less, target, type Outcome } from './result.js';

/** Per packet over the mix, decode and all pending detectors. */
const engineNsMax = 300;

export async function measureDecode(context: Context): Promise<Outcome> {
  const mix = mixOf(context);
  const { ns: decode } = await benchDecode(mix.path, context.repeat);
  return {
    tables: [
      {
        title: 'ns per packet, averaged over the mix',
        head: ['', 'ns'],
        rows: [['decode', ns(decode)]],
        notes: [describeMix(mix)],
      },
    ],
    figures: [less('decode', decode, 'ns')],
    targets: [],
  };
}

export async function measureFlow(context: Context): Promise<Outcome> {
  const mix = mixOf(context);
  const { ns: flow, lookups } = await benchFlow(mix.path, context.repeat);
  return {
    tables: [
      {
        title: 'ns per packet, averaged over the mix',
        head: ['', 'ns'],
        rows: [['decode + flow table', ns(flow)]],
        notes: [describeMix(mix)],
      },
      {
        title: 'Flow lookup, random order',
        head: ['flows in the table', 'ns'],
        rows: lookups.map((each) => [each.flows.toLocaleString('en'), ns(each.ns)]),
        notes: [],
      },
    ],
    figures: [
      less('decode + flow table', flow, 'ns'),
      ...lookups.map((each) => less(`lookup among ${each.flows}`, each.ns, 'ns')),
    ],
    targets: [],
  };
}

export async function measureEngine(context: Context): Promise<Outcome> {
  const mix = mixOf(context);
  const report = await benchEngine(mix.path, context.repeat);
  const { ns: all, decodeNs, flowNs, detectionNs: detection } = report;
  const { flows, packets, detectorCallsPerPacket } = report;
  return {
    tables: [
      {
        title: 'Averaged over the mix',
        head: ['', ''],
        rows: [
          ['decode + flow table + all pending detectors, ns per packet', ns(all)],
          ['decode + flow table', ns(flowNs)],
          ['decode', ns(decodeNs)],
          ['decode + all pending detectors (all of it, less the flow table)', ns(detection)],
          ['detector calls per packet', detectorCallsPerPacket.toFixed(2)],
          ['flows', String(flows)],
          ['packets', String(packets)],
        ],
        notes: [describeMix(mix)],
      },
    ],
    figures: [less('decode + flow + detectors', all, 'ns'), less('decode + detectors', detection, 'ns')],
    targets: [
      target(
        'decode and all pending detectors, per packet of the mix',
        detection,
        ['<', engineNsMax],
        ' ns',
        0,
      ),
    ],
  };
}
