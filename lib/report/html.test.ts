import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { flowsShownMax, html } from './html.js';
import { fakeClear, fakeEvidence, fakeNear, fakeReport, hostileTexts, render } from './testing.js';

/** Would mark the document if it ever ran. */
const markup = `<script>document.documentElement.dataset.owned='yes'</script><img src=x onerror="document.documentElement.dataset.owned='yes'">`;

const hostileFlows = [markup, ...hostileTexts].map((name) =>
  fakeReport({
    client_software: [name],
    file: name,
    info_hashes: [name],
    evidence: [fakeEvidence({ finding: name, client_software: name, info_hash: name, detector: name })],
    near_misses: [fakeEvidence({ confidence: 'near', finding: name, detector: name })],
  }),
);
const summary = {
  filesFailed: 1,
  files: 3,
  unsupportedLinks: [{ linkType: 189, name: markup, packets: 7 }],
  warnings: [{ file: markup, code: 'capture-cut', message: markup }],
};
const page = render(html, [...hostileFlows, fakeClear(), fakeNear()], { summary });

/** The page without what is ours: style and script are constants. */
function body(text: string): string {
  return text.replace(/<style>[^]*?<\/style>/, '').replace(/<script>[^]*?<\/script>(?=<\/body>)/, '');
}

test('nothing is loaded: no address in any attribute, no style or script but our own', () => {
  const rest = body(page);
  assert.doesNotMatch(
    rest,
    /<(?:script|style|img|iframe|link|object|embed|form|base|video|audio|svg[^>]*href)/i,
  );
  for (const [, value] of rest.matchAll(/\s(?:src|srcset|href|action|data|poster|background)="([^"]*)"/gi)) {
    assert.match(value!, /^#[a-z]+$/);
  }
  assert.doesNotMatch(rest, /\s(?:style|on[a-z]+)="/i);
  assert.doesNotMatch(page, /@import|url\(|https?:\/\/(?!evil\.example)/);
});

test('the policy admits exactly the style and the script of the page', () => {
  const policy = /http-equiv="Content-Security-Policy" content="([^"]+)"/.exec(page)![1]!;
  assert.match(policy, /^default-src 'none';/);
  assert.doesNotMatch(policy, /unsafe|\*|https?:/);
  for (const [name, pattern] of [
    ['style', /<style>([^]*?)<\/style>/],
    ['script', /<script>([^]*?)<\/script><\/body>/],
  ] as const) {
    const hash = createHash('sha256').update(pattern.exec(page)![1]!).digest('base64');
    assert.ok(policy.includes(`${name}-src 'sha256-${hash}'`), name);
  }
});

test('everything from the wire is escaped', () => {
  const rest = body(page);
  assert.ok(!rest.includes('<script'));
  assert.ok(!rest.includes('onerror="'));
  assert.ok(rest.includes('&lt;script&gt;alert(1)&lt;/script&gt;'));
  assert.ok(rest.includes('safe\\u{202e}gnp.exe'));
  assert.doesNotMatch(rest.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u);
});

test('tags are balanced and ids unique', () => {
  const open: string[] = [];
  for (const [, slash, name, selfClosed] of body(page).matchAll(
    /<(\/?)([a-z][a-z0-9]*)(?:\s[^>]*?)?(\/?)>/g,
  )) {
    if (['meta', 'br', 'input', 'link'].includes(name!) || selfClosed === '/') continue;
    if (slash === '/') assert.equal(open.pop(), name);
    else open.push(name!);
  }
  assert.deepEqual(open, []);
  const ids = [...page.matchAll(/\sid="([^"]+)"/g)].map((match) => match[1]);
  assert.equal(new Set(ids).size, ids.length);
});

test('every section has its heading, and the frames are there for Wireshark', () => {
  for (const title of [
    'Timeline',
    'Kinds of BitTorrent traffic',
    'Hosts, flows and evidence',
    'Info-hashes',
    'Client software',
    'Near misses',
    'Input, unsupported links and warnings',
    'What this report cannot see',
  ]) {
    assert.match(page, new RegExp(`<h2[^>]*>${title}</h2>`));
  }
  assert.match(page, /<h1>BitTorrent found: 10 of 12\u00a0flows|<h1>BitTorrent found: 10 of 12 flows/);
  assert.ok(page.includes('<code class="filter">frame.number == 15</code>'));
  assert.ok(page.includes('could not be read'));
});

test('flows are bounded and the page says so', () => {
  const flows = Array.from({ length: flowsShownMax + 50 }, (_, i) => fakeReport({ bytes: i + 1 }));
  const text = render(html, flows);
  assert.equal(text.match(/<details class="flow">/g)!.length, flowsShownMax);
  assert.match(text, /50 more flows not shown; these are the 2,000 with most bytes/);
  assert.ok(text.length < 6_000_000, String(text.length));
});

test('a scan without BitTorrent and one without flows have a page as well', () => {
  assert.match(render(html, [fakeClear()]), /<h1>No BitTorrent found in 1 flow\.<\/h1>/);
  assert.match(render(html, []), /<h1>Nothing to judge: no packets\.<\/h1>/);
});

function browser(): string | null {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    for (const folder of folders) if (existsSync(join(folder, name))) return join(folder, name);
  }
  return null;
}

/** The document after its script ran, and what the browser's console said. */
function loaded(program: string, text: string): { dom: string; console: string[] } {
  const folder = mkdtempSync(join(tmpdir(), 'swarmgate-html-'));
  try {
    const file = join(folder, 'report.html');
    const log = join(folder, 'log.txt');
    writeFileSync(file, text);
    const dom = execFileSync(
      program,
      [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        '--host-resolver-rules=MAP * ~NOTFOUND',
        '--enable-logging',
        `--log-file=${log}`,
        `--user-data-dir=${join(folder, 'profile')}`,
        '--dump-dom',
        pathToFileURL(file).href,
      ],
      {
        encoding: 'utf8',
        timeout: 60_000,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, CHROME_LOG_FILE: log },
      },
    );
    const lines = existsSync(log) ? readFileSync(log, 'utf8').split('\n') : [];
    return { dom, console: lines.filter((line) => line.includes('CONSOLE')) };
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

const program = browser();
const skip =
  program === null
    ? 'NOT CHECKED in a browser: no chromium on this machine (apt-get install chromium)'
    : false;

test('a browser loads it without request, error or injected code, and the script works', { skip }, () => {
  const { dom, console } = loaded(program!, page);
  assert.deepEqual(console, []);
  assert.doesNotMatch(dom, /data-owned/);
  assert.match(dom, /<div class="tools" id="tools">/, 'the script ran and showed its tools');
  assert.match(dom, /<button type="button" class="copy"/);
});

test('the same check does notice a request and foreign code', { skip }, () => {
  const spoiled = page.replace('<main>', `<main>${markup}<img src="http://192.0.2.1/x.png">`);
  const { dom, console } = loaded(program!, spoiled);
  assert.ok(console.length >= 2, console.join('\n'));
  assert.doesNotMatch(dom, /data-owned/, 'the policy stops it even if escaping failed');
});
