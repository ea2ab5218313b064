/** One JSON object: flows as they end, then what only the end of the scan knows. */
import { Aggregate } from './aggregate.js';
import { jsonText } from './escape.js';
import { flowJson } from './flow-json.js';
import type { EndedFlow, FlowReport, ReportFactory } from './report.js';
import { hostRecords, kindRecords, summaryRecord } from './summary.js';

/** The aggregate asks for the record that was just written, so the second call must not build it again. */
function withRecord(flow: EndedFlow, record: FlowReport): EndedFlow {
  return {
    verdict: flow.verdict,
    kind: flow.kind,
    protocol: flow.protocol,
    packets: flow.packets,
    bytes: flow.bytes,
    firstSeenMicros: flow.firstSeenMicros,
    lastSeenMicros: flow.lastSeenMicros,
    nearMissCount: flow.nearMissCount,
    report: () => record,
    essence: () => record,
    nearMisses: () => record.near_misses,
  };
}

export const json: ReportFactory = (output) => {
  const aggregate = new Aggregate({ flowsMax: 1, suspectsMax: 1 });
  let separator = '\n';
  output.write('{"flows":[');
  return {
    flow(flow) {
      const record = flow.report();
      output.write(separator + flowJson(record));
      separator = ',\n';
      aggregate.add(withRecord(flow, record));
    },
    end(summary) {
      output.write(`\n],\n"summary":${jsonText(summaryRecord(summary, aggregate))},\n`);
      output.write(`"hosts":${jsonText(hostRecords(aggregate))},\n`);
      output.write(`"kinds":${jsonText(kindRecords(aggregate))}}\n`);
    },
  };
};
