/**
 * A program that only walks a classic capture and counts packets: `walk.js ours FILE` with our reader, `walk.js
 * pcap-parser FILE` with the npm package of that name. The benchmark runs both as processes of their own, so that the
 * memory of one is not seen in the other.
 */
import { createReadStream } from 'node:fs';
import { createRequire } from 'node:module';
import { openCaptureFile } from '../lib/io/capture-file.js';
import { PacketBatch } from '../lib/io/packet-source.js';

interface PcapParser {
  on(event: 'packet', listener: (packet: { data: Uint8Array }) => void): void;
  on(event: 'end', listener: () => void): void;
  on(event: 'error', listener: (error: Error) => void): void;
}

async function walkOurs(path: string): Promise<number[]> {
  const batch = new PacketBatch();
  const source = await openCaptureFile(path);
  let packets = 0;
  let bytes = 0;
  while (await source.fill()) {
    while (source.next(batch) > 0) {
      packets += batch.count;
      for (let i = 0; i < batch.count; i++) bytes += batch.end[i]! - batch.start[i]!;
    }
  }
  await source.close();
  return [packets, bytes];
}

function walkPcapParser(path: string): Promise<number[]> {
  const pcapParser = createRequire(import.meta.url)('pcap-parser') as {
    parse(stream: NodeJS.ReadableStream): PcapParser;
  };
  return new Promise((resolve, reject) => {
    let packets = 0;
    let bytes = 0;
    const parser = pcapParser.parse(createReadStream(path));
    parser.on('packet', ({ data }) => {
      packets++;
      bytes += data.length;
    });
    parser.on('end', () => {
      resolve([packets, bytes]);
    });
    parser.on('error', reject);
  });
}

const [kind, path] = process.argv.slice(2);
if (path === undefined) throw new Error('usage: walk.js ours|pcap-parser FILE');
const [packets, bytes] = await (kind === 'ours' ? walkOurs(path) : walkPcapParser(path));
process.stdout.write(`${packets} packets, ${bytes} bytes\n`);
