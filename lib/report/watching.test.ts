/** What deploy/ has for those who watch Swarmgate: alerts of Prometheus and a dashboard of Grafana ask for what there is. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { repositoryPath } from '../testing.js';
import { parseMetrics } from './metrics-testing.js';
import { metricsText } from './metrics.js';
import { fakeCapture, fakeStatus } from './status-testing.js';

const alertsFile = repositoryPath('deploy', 'prometheus', 'alerts.yaml');
const dashboardFile = repositoryPath('deploy', 'grafana', 'swarmgate.json');

const saved = {
  directory: '/var/log',
  packets: 1,
  bytes: 1,
  dropped: 0,
  files: 1,
  removed: 0,
  problem: null,
};
const families = [fakeStatus(), fakeStatus({ capture: fakeCapture({ saved }) })].flatMap((status) => [
  ...parseMetrics(metricsText(status)).values(),
]);
const samples = families.flatMap((family) => family.samples);

/** Labels of Prometheus itself. */
const given = ['job', 'instance'];

/** What is wrong with an expression: names and labels that nobody serves, words that no label has. */
function problemsOf(expression: string): string[] {
  const problems: string[] = [];
  const known = new Set(given);
  for (const [, name, matchers] of expression.matchAll(/\b(swarmgate_\w+)(?:\{([^}]*)\})?/g)) {
    const series = samples.filter((sample) => sample.name === name);
    if (series.length === 0) problems.push(`${name!} is not served`);
    for (const label of series.flatMap(({ labels }) => Object.keys(labels))) known.add(label);
    for (const [, label, words] of (matchers ?? '').matchAll(/(\w+)\s*=~?\s*"([^"]*)"/g)) {
      if (given.includes(label!)) continue;
      for (const word of words!.split('|'))
        if (!series.some(({ labels }) => labels[label!] === word))
          problems.push(`${name!} has no ${label!}="${word}"`);
    }
  }
  for (const [, labels] of expression.matchAll(/\bby \(([^)]*)\)/g))
    for (const label of labels!.split(/,\s*/)) if (!known.has(label)) problems.push(`no label ${label}`);
  return problems;
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
}

function rules(): Rule[] {
  const { groups } = parse(readFileSync(alertsFile, 'utf8')) as { groups: { rules: Rule[] }[] };
  return groups.flatMap((group) => group.rules);
}

interface Panel {
  readonly title: string;
  readonly type: string;
  readonly targets?: readonly { readonly expr: string }[];
}

function panels(): readonly Panel[] {
  return (JSON.parse(readFileSync(dashboardFile, 'utf8')) as { panels: Panel[] }).panels;
}

test('the check of expressions finds wrong names, labels and words', () => {
  assert.deepEqual(problemsOf('rate(swarmgate_packets_total{job="x"}[5m]) > 0'), []);
  assert.deepEqual(problemsOf('swarmgate_packets > 0'), ['swarmgate_packets is not served']);
  assert.deepEqual(problemsOf('swarmgate_rules_state{state=~"intact|gone"}'), [
    'swarmgate_rules_state has no state="gone"',
  ]);
  assert.deepEqual(problemsOf('sum by (kind, host) (swarmgate_flow_kinds_total)'), ['no label host']);
});

test('alerts ask for metrics, labels and words that there are', () => {
  assert.ok(rules().length > 10);
  for (const { alert, expr, annotations, labels } of rules()) {
    assert.deepEqual(problemsOf(expr), [], alert);
    assert.ok(annotations.summary.includes('{{ $labels.instance }}'), alert);
    assert.ok(annotations.description.length > 0, alert);
    assert.ok(['warning', 'critical'].includes(labels.severity), alert);
  }
});

test('so does the dashboard', () => {
  const asked = panels().flatMap(({ title, targets }) =>
    (targets ?? []).map(({ expr }) => [title, expr] as const),
  );
  assert.ok(asked.length > 20);
  for (const [title, expr] of asked) assert.deepEqual(problemsOf(expr), [], title);
  for (const { type, targets } of panels()) assert.equal(type === 'row', targets === undefined);
});

test('every alert has a case in which it fires, and it alone', () => {
  const cases = readFileSync(repositoryPath('deploy', 'prometheus', 'alerts.test.yaml'), 'utf8');
  for (const { alert } of rules()) assert.ok(cases.includes(`alertname="${alert}"`), alert);
});

const noPromtool =
  spawnSync('promtool', ['--version']).status === 0 ? false : 'promtool is not there (package prometheus)';

test('promtool accepts the alerts and their cases', { skip: noPromtool }, () => {
  const cases = repositoryPath('deploy', 'prometheus', 'alerts.test.yaml');
  for (const words of [
    ['check', 'rules', alertsFile],
    ['test', 'rules', cases],
  ]) {
    const { status, stdout, stderr } = spawnSync('promtool', words, { encoding: 'utf8' });
    assert.equal(status, 0, stdout + stderr);
  }
});
