/**
 * Ports where a service of another kind is what one expects: everything below 1024 (the system ports of RFC 6335
 * section 6), and the registered or customary ports below. A peer may use any of them, and no port is exempt; but here it
 * takes one more independent source before an endpoint is believed to be a peer, because a wrong belief would cost
 * somebody a game, a call or a tunnel, and a liar would name exactly these. Names and numbers are those of IANA's
 * service name registry unless another source is given.
 */

interface ServiceGroup {
  /** Why a wrong belief is likely or dear here. */
  readonly why: string;
  /** Ports, or first and last port. */
  readonly ports: readonly (number | readonly [number, number])[];
}

export const serviceGroups: readonly ServiceGroup[] = [
  {
    // OpenVPN, L2TP, PPTP, IPsec NAT traversal, ZeroTier, Tailscale (vendor), WireGuard (its documentation).
    why: 'tunnels: random-looking from the first byte, and all traffic of a host or site depends on them',
    ports: [1194, 1701, 1723, 4500, 9993, 41_641, 51_820],
  },
  {
    // SQL Server, Oracle, NFS, MySQL, PostgreSQL, CouchDB, Redis, Cassandra, Elasticsearch, memcached, MongoDB.
    why: 'databases and storage: long-lived, often encrypted, dear to break',
    ports: [1433, 1521, 2049, 3306, 5432, 5984, 6379, 9042, 9200, 11_211, 27_017],
  },
  {
    // SOCKS, Squid, and the customary second ports of web servers and hosting panels.
    why: 'web and proxies: where HTTP and TLS run besides 80 and 443',
    ports: [1080, 2083, 2087, 2096, 3000, 3128, 8000, 8008, 8080, 8081, 8443, 8888, 9443],
  },
  {
    // MQTT, XMPP and Apple push (5223), Google push (5228-5230), XMPP servers, AMQP, IRC, MQTT over TLS.
    why: 'messaging and push: phones go silent without it',
    ports: [1883, 5222, 5223, [5228, 5230], 5269, 5671, 5672, 6667, 6697, 8883],
  },
  {
    // RDP, VNC, TeamViewer, AnyDesk (vendors).
    why: 'remote desktops: somebody is working on it',
    ports: [3389, [5900, 5903], 5938, 7070],
  },
  {
    // STUN and TURN, STUN over TLS, RTP, SIP, Google's STUN and TURN, TeamSpeak, Mumble.
    why: 'calls: datagrams that look random, with a new partner for each call',
    ports: [[3478, 3481], 5004, 5005, 5060, 5061, 5349, [19_302, 19_309], 9987, 64_738],
  },
  {
    // Battle.net, Arma and DayZ, Xbox, World of Warcraft, Photon, Unreal and Terraria, PlayStation, Minecraft twice,
    // Source engine and Steam (Valve's list of ports), FiveM.
    why: 'games: datagrams of their own make with many partners, and the first thing that users miss',
    ports: [
      1119,
      [2302, 2305],
      3074,
      3724,
      [5055, 5058],
      [7777, 7778],
      [9295, 9304],
      [19_132, 19_133],
      25_565,
      [27_000, 27_050],
      30_120,
    ],
  },
  {
    // Windows delivery optimization, Bitcoin, Tor relays and directories, Syncthing.
    why: 'other peer-to-peer: encrypted, many partners, and not BitTorrent',
    ports: [7680, 8333, 9001, 9030, 22_000],
  },
];

const systemPorts = 1024;
const isService = new Uint8Array(65_536).fill(1, 0, systemPorts);
for (const { ports } of serviceGroups) {
  for (const entry of ports) {
    const [first, last] = typeof entry === 'number' ? [entry, entry] : entry;
    isService.fill(1, first, last + 1);
  }
}

/** True if a service of another kind is expected at this port, 0 to 65,535. */
export function isServicePort(port: number): boolean {
  return isService[port & 0xffff] === 1;
}
