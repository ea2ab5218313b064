/** `swarmgate detectors`: what is recognised, by which specification, how sure, and what is not. */
import type { CommandModule } from 'yargs';
import type { Detector } from '../detectors/detector.js';
import { detectors, optionalDetectors } from '../detectors/index.js';

interface DetectorsArguments {
  json: boolean;
}

const everyDetector = [...detectors, ...optionalDetectors];
const isOptional = (detector: Detector): boolean => optionalDetectors.includes(detector);

function asText(): string {
  return everyDetector
    .map((detector) =>
      [
        `${detector.name}  (${detector.transport}, ${detector.confidence}; ${detector.reference})`,
        ...(isOptional(detector) ? ['    Off unless names are listed (names.*, --block-name).'] : []),
        `    ${detector.summary}`,
        ...detector.findings.map((finding) => `    - ${finding.confidence.padEnd(6)} ${finding.text}`),
        `    Limits: ${detector.limits}`,
        `    Asked about the first ${detector.packetsMax} payload packets of each side.`,
      ].join('\n'),
    )
    .join('\n\n');
}

function asJson(): string {
  const list = everyDetector.map(
    ({ name, transport, confidence, reference, summary, limits, findings, packetsMax }, index) => ({
      name,
      transport,
      confidence,
      reference,
      summary,
      limits,
      packets_max: packetsMax,
      needs: index < detectors.length ? null : 'names',
      findings,
    }),
  );
  return JSON.stringify(list, null, 2);
}

export const detectorsCommand: CommandModule<object, DetectorsArguments> = {
  command: 'detectors',
  describe: 'list the detectors with reference, confidence and limits',
  builder: (yargs) => yargs.option('json', { type: 'boolean', default: false, describe: 'as JSON' }),
  handler: ({ json }) => {
    process.stdout.write(`${json ? asJson() : asText()}\n`);
  },
};
