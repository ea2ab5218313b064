import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test, type TestContext } from 'node:test';
import { parseMetrics } from '../report/metrics-testing.js';
import { metricsText } from '../report/metrics.js';
import { fakeStatus } from '../report/status-testing.js';
import { MetricsServer, parseListen, type MetricsSource } from './metrics-server.js';
import { ControlError } from './protocol.js';

const withCode = (code: string) => (error: unknown) => error instanceof ControlError && error.code === code;

async function serve(
  t: TestContext,
  source: MetricsSource = () => metricsText(fakeStatus()),
): Promise<{ server: MetricsServer; base: string }> {
  const server = await MetricsServer.listen('127.0.0.1:0', source);
  t.after(() => server.close());
  return { server, base: `http://127.0.0.1:${server.port}` };
}

test('GET and HEAD of /metrics, a hint at /, nothing else', async (t) => {
  const { base } = await serve(t);
  const page = await fetch(`${base}/metrics`);
  assert.equal(page.status, 200);
  assert.equal(page.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  assert.ok(parseMetrics(await page.text()).size > 20);
  const head = await fetch(`${base}/metrics?x=1`, { method: 'HEAD' });
  assert.equal(head.status, 200);
  assert.equal(await head.text(), '');
  assert.match(await (await fetch(base)).text(), /\/metrics/);
  assert.equal((await fetch(`${base}/other`)).status, 404);
  const post = await fetch(`${base}/metrics`, { method: 'POST', body: 'x'.repeat(100_000) });
  assert.equal(post.status, 405);
  assert.equal(post.headers.get('allow'), 'GET, HEAD');
});

test('a source that fails is an answer', async (t) => {
  const { base } = await serve(t, () => Promise.reject(new Error('secret')));
  const page = await fetch(`${base}/metrics`);
  assert.equal(page.status, 500);
  assert.doesNotMatch(await page.text(), /secret/);
});

test('hostile requests do not end the server', async (t) => {
  const { server, base } = await serve(t);
  for (const bytes of [
    '\0\xff\r\n\r\n',
    `GET /${'x'.repeat(20_000)} HTTP/1.1\r\n\r\n`,
    'GET //[ HTTP/1.1\r\nHost: a\r\n\r\n',
  ]) {
    await new Promise<void>((resolve) => {
      const socket = connect(server.port, '127.0.0.1', () => socket.write(Buffer.from(bytes, 'latin1')));
      socket
        .on('error', () => undefined)
        .on('close', () => {
          resolve();
        });
      socket.resume();
    });
  }
  const gone = connect(server.port, '127.0.0.1', () => {
    gone.write('GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n');
    gone.destroy();
  });
  assert.equal((await fetch(`${base}/metrics`)).status, 200);
});

test('requests sent ahead on one connection get one answer, and a flood of connections few pages', async (t) => {
  let pages = 0;
  const { server, base } = await serve(t, () => {
    pages++;
    return metricsText(fakeStatus());
  });
  const received = await new Promise<string>((resolve) => {
    let text = '';
    const socket = connect(server.port, '127.0.0.1', () =>
      socket.write('GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(5000)),
    );
    socket
      .setEncoding('latin1')
      .on('data', (piece: string) => (text += piece))
      .on('error', () => undefined)
      .on('close', () => {
        resolve(text);
      });
  });
  assert.equal(pages, 1);
  assert.ok(
    received.split('HTTP/1.1 ').length <= 2,
    'one answer, or none where the rest made the system reset',
  );
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      assert.equal((await fetch(`${base}/metrics`)).status, 200);
    }),
  );
  assert.ok((pages as number) < 20, `${pages} pages`);
});

test('addresses', async (t) => {
  assert.deepEqual(parseListen('127.0.0.1:9469'), { host: '127.0.0.1', port: 9469 });
  assert.deepEqual(parseListen('[::1]:9469'), { host: '::1', port: 9469 });
  for (const bad of [
    '',
    '9469',
    ':9469',
    'localhost:9469',
    '::1:9469',
    '[127.0.0.1]:1',
    '1.2.3.4:70000',
    '1.2.3.4',
  ])
    assert.throws(() => parseListen(bad), withCode('metrics-address'), bad);
  const { server } = await serve(t);
  const listen = (where: string) => MetricsServer.listen(where, () => '');
  await assert.rejects(listen(`127.0.0.1:${server.port}`), withCode('metrics-address-in-use'));
  await assert.rejects(listen('192.0.2.1:9469'), withCode('metrics-address'));
});
