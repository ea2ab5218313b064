/**
 * What following a proxy's negotiation answers (proxy.ts, socks.ts): how far it is, where the streams inside begin, and
 * whom they lead to. One result object per inspector, filled anew by every call; all positions count from the beginning
 * of their stream.
 */

/** These streams are no negotiation with a proxy. */
export const NotProxy = 0;
/** They are or may be one that is not over. */
export const Wait = 1;
/** The proxy refused, or what follows cannot be read (GSSAPI). */
export const Refused = 2;
/** This request was refused, and the next one may follow on the same connection at `clientAt` and `serverAt`. */
export const Again = 3;
/** Done: what is inside begins at `clientAt` and `serverAt`. */
export const Through = 4;
export type NegotiationOutcome = 0 | 1 | 2 | 3 | 4;

export const proxySocks4 = 1;
export const proxySocks5 = 2;
export const proxyHttp = 3;

export class Negotiation {
  /** Which proxy protocol: proxySocks4, proxySocks5 or proxyHttp. */
  kind = 0;
  /** Where the inner streams begin; the server's may lie beyond what has arrived. Valid after Through and Again. */
  clientAt = 0;
  serverAt = 0;
  /** Destination behind the proxy: 4 or 6 with its words and port, or 0 if it is a name or not known. Valid after Through. */
  version = 0;
  readonly words: Int32Array = new Int32Array(4);
  port = 0;
  /** The name asked for, in the client's stream; empty if it is an address. Valid after Through. */
  nameStart = 0;
  nameEnd = 0;

  reset(kind: number): void {
    this.kind = kind;
    this.clientAt = 0;
    this.serverAt = 0;
    this.port = 0;
    this.forgetAddress();
  }

  forgetAddress(): void {
    this.version = 0;
    this.words.fill(0);
    this.nameStart = 0;
    this.nameEnd = 0;
  }

  /** Ends a successful negotiation. */
  through(clientAt: number, serverAt: number): NegotiationOutcome {
    this.clientAt = clientAt;
    this.serverAt = serverAt;
    return Through;
  }
}
