/** A strict reader of Prometheus' text format 0.0.4 for tests: what a scraper would refuse, it refuses. */

export interface MetricSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface MetricFamily {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: MetricSample[];
}

const numberPattern = /^(?:NaN|[+-]?Inf|[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/i;

function fail(line: string, why: string): never {
  throw new Error(`${why}: ${JSON.stringify(line)}`);
}

function unescape(text: string, line: string): string {
  return text.replace(/\\(.?)/g, (_all, letter: string) => {
    if (letter === 'n') return '\n';
    if (letter === '\\' || letter === '"') return letter;
    return fail(line, 'unknown escape');
  });
}

function parseLabels(text: string, line: string): Record<string, string> {
  const labels: Record<string, string> = {};
  const pair = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\.)*)"(,|$)/y;
  while (pair.lastIndex < text.length) {
    const match = pair.exec(text);
    if (match === null) fail(line, 'bad labels');
    if (Object.hasOwn(labels, match[1]!)) fail(line, 'label twice');
    labels[match[1]!] = unescape(match[2]!, line);
  }
  return labels;
}

function parseSample(line: string): MetricSample {
  const match = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})? (\S+)$/.exec(line);
  if (match === null) fail(line, 'no sample');
  const [, name, labels, value] = match;
  if (!numberPattern.test(value!)) fail(line, 'no number');
  const number = Number(value!.replace(/inf/i, 'Infinity'));
  return { name: name!, labels: labels === undefined ? {} : parseLabels(labels, line), value: number };
}

/** The families of a page. @throws on whatever the format does not allow */
export function parseMetrics(text: string): Map<string, MetricFamily> {
  if (text !== '' && !text.endsWith('\n')) fail(text.slice(-20), 'no line feed at the end');
  const families = new Map<string, MetricFamily>();
  const seen = new Set<string>();
  let help: { name: string; text: string } | null = null;
  let current: MetricFamily | null = null;
  for (const line of text.split('\n').slice(0, -1)) {
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$/.exec(line);
    if (comment?.[1] === 'HELP') {
      help = { name: comment[2]!, text: unescape(comment[3]!, line) };
    } else if (comment !== null) {
      if (help === null || help.name !== comment[2]) fail(line, 'TYPE without HELP before it');
      if (families.has(comment[2])) fail(line, 'family twice');
      if (!['counter', 'gauge', 'histogram'].includes(comment[3]!)) fail(line, 'unknown type');
      current = { name: comment[2], type: comment[3]!, help: help.text, samples: [] };
      families.set(current.name, current);
    } else {
      const sample = parseSample(line);
      const key = JSON.stringify([sample.name, Object.entries(sample.labels).sort()]);
      if (seen.has(key)) fail(line, 'series twice');
      seen.add(key);
      if (current === null || !belongs(sample.name, current)) fail(line, 'sample outside its family');
      current.samples.push(sample);
    }
  }
  for (const family of families.values()) checkFamily(family);
  return families;
}

function belongs(name: string, { name: family, type }: MetricFamily): boolean {
  if (type !== 'histogram') return name === family;
  return ['_bucket', '_sum', '_count'].some((suffix) => name === family + suffix);
}

function checkFamily(family: MetricFamily): void {
  const { name, type, samples } = family;
  if (samples.length === 0) fail(name, 'family without samples');
  if (type === 'counter' && !name.endsWith('_total')) fail(name, 'counter that does not end in _total');
  if (type !== 'counter' && name.endsWith('_total')) fail(name, 'only counters end in _total');
  if (type === 'counter' && samples.some(({ value }) => !(value >= 0))) fail(name, 'counter below 0');
  if (type === 'histogram') checkHistogram(family);
}

function checkHistogram({ name, samples }: MetricFamily): void {
  const buckets = samples.filter((sample) => sample.name === `${name}_bucket`);
  const edges = buckets.map(({ labels }) => Number((labels['le'] ?? '').replace('Inf', 'Infinity')));
  const one = (suffix: string): number => {
    const found = samples.filter((sample) => sample.name === name + suffix);
    if (found.length !== 1) fail(name, `not one ${suffix}`);
    return found[0]!.value;
  };
  if (edges.at(-1) !== Infinity) fail(name, 'no +Inf bucket');
  for (let i = 1; i < buckets.length; i++) {
    if (!(edges[i]! > edges[i - 1]!)) fail(name, 'edges do not grow');
    if (buckets[i]!.value < buckets[i - 1]!.value) fail(name, 'buckets are not cumulative');
  }
  if (one('_count') !== buckets.at(-1)!.value) fail(name, '_count is not the +Inf bucket');
  one('_sum');
}
