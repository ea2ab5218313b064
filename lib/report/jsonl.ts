/** One FlowReport per line, every flow of the scan; the summary goes nowhere, so that each line means the same. */
import { flowJson } from './flow-json.js';
import type { ReportFactory } from './report.js';

export const jsonl: ReportFactory = (output) => {
  return {
    flow(flow) {
      output.write(`${flowJson(flow.report())}\n`);
    },
    end() {
      // Nothing is held back: every flow was written when it ended.
    },
  };
};
