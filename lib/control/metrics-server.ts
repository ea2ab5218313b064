/** Serves the metrics over HTTP: one page, read only, bounded in time, connections and header. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isIP, type AddressInfo, type Socket } from 'node:net';
import { metricsContentType } from '../report/metrics.js';
import { ControlError } from './protocol.js';

/** Gives the page; asked for each scrape. */
export type MetricsSource = () => string | Promise<string>;

const headerBytesMax = 8 * 1024;
const headerMillis = 5000;
const requestMillis = 10_000;
const connectionsMax = 32;
/** A page is given again for this long: whoever asks without end costs one page per so many milliseconds. */
const pageMillis = 200;

/** "127.0.0.1:9469" or "[::1]:9469". @throws ControlError 'metrics-address' */
export function parseListen(listen: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(listen);
  const host = match?.[1] ?? match?.[2] ?? '';
  const port = Number(match?.[3]);
  const version = match?.[1] === undefined ? 4 : 6;
  if (match === null || isIP(host) !== version || port > 65_535) {
    throw new ControlError(
      'metrics-address',
      `metrics: ${listen} is no address and port; write 127.0.0.1:9469 or [::1]:9469`,
    );
  }
  return { host, port };
}

export class MetricsServer {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** @throws ControlError 'metrics-address', 'metrics-address-in-use', 'metrics-permission', 'metrics-listen' */
  static async listen(listen: string, source: MetricsSource): Promise<MetricsServer> {
    const { host, port } = parseListen(listen);
    const server = createServer({
      maxHeaderSize: headerBytesMax,
      headersTimeout: headerMillis,
      requestTimeout: requestMillis,
      keepAliveTimeout: requestMillis,
      connectionsCheckingInterval: 1000,
    });
    server.maxConnections = connectionsMax;
    // Also cuts off who does not take the answer.
    server.setTimeout(3 * requestMillis);
    const page = remembered(source);
    // One request per connection: the parser hands over all that were sent ahead, thousands of them in one piece.
    const answered = new WeakSet<Socket>();
    server.on('request', (request, response) => {
      if (answered.has(request.socket)) return;
      answered.add(request.socket);
      void answer(request, response, page);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        reject(listenError(listen, error));
      });
      server.listen({ host, port, ipv6Only: true }, resolve);
    });
    server.removeAllListeners('error');
    server.on('error', () => undefined);
    return new MetricsServer(server);
  }

  /** The port that is listened on, which the system chose for 0. */
  get port(): number {
    return (this.#server.address() as AddressInfo | null)?.port ?? 0;
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
      this.#server.closeAllConnections();
    });
  }
}

function listenError(listen: string, error: NodeJS.ErrnoException): ControlError {
  switch (error.code) {
    case 'EADDRINUSE':
      return new ControlError(
        'metrics-address-in-use',
        `metrics: ${listen} is in use by another program; choose another port`,
      );
    case 'EADDRNOTAVAIL':
      return new ControlError('metrics-address', `metrics: this machine has no address ${listen}`);
    case 'EACCES':
      return new ControlError('metrics-permission', `metrics: no permission to listen on ${listen}`);
    default:
      return new ControlError('metrics-listen', `metrics: cannot listen on ${listen} (${error.message})`);
  }
}

/** The source, asked once per `pageMillis`. */
function remembered(source: MetricsSource): () => Promise<string> {
  let page: Promise<string> | null = null;
  let madeMillis = 0;
  return () => {
    const now = performance.now();
    if (page === null || now - madeMillis >= pageMillis) {
      madeMillis = now;
      page = Promise.resolve().then(source);
    }
    return page;
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  page: () => Promise<string>,
): Promise<void> {
  // Bodies are not read; the connection ends with the answer.
  response.setHeader('Connection', 'close');
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.on('error', () => undefined);
  const { method } = request;
  const path = (request.url ?? '').split('?', 1)[0];
  if (method !== 'GET' && method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD');
    send(response, 405, 'Only GET and HEAD.\n');
  } else if (path === '/metrics') {
    try {
      send(response, 200, await page(), metricsContentType);
    } catch {
      send(response, 500, 'The metrics could not be made.\n');
    }
  } else if (path === '/') {
    send(response, 200, 'swarmgate: the metrics are at /metrics\n');
  } else {
    send(response, 404, 'There is only /metrics.\n');
  }
}

function send(
  response: ServerResponse,
  status: number,
  text: string,
  type = 'text/plain; charset=utf-8',
): void {
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(text) });
  response.end(text);
}
