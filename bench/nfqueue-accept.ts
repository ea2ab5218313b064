/** Consumer of the queue benchmark: our addon, every packet accepted. usage: nfqueue-accept.js QUEUE [BATCH [decode]] */
import { NfqueueQueue } from '../lib/io/nfqueue.js';
import { nfAccept } from '../lib/io/packet-queue.js';
import { batchPacketsMax } from '../lib/limits.js';
import { decodePacket } from '../lib/wire/decode.js';
import { linkRaw } from '../lib/wire/link.js';
import { Packet } from '../lib/wire/packet.js';

const queue = new NfqueueQueue({
  queue: Number(process.argv[2]),
  batchPackets: Number(process.argv[3] ?? batchPacketsMax),
  failOpen: false,
  timeoutMillis: 1000,
});
const decode = process.argv[4] === 'decode';
const { batch } = queue;
const packet = new Packet();

for (;;) {
  const count = queue.receive();
  for (let i = 0; i < count; i++) {
    if (decode)
      decodePacket(packet, batch.bytes, batch.start[i]!, batch.end[i]!, batch.wireLength[i]!, linkRaw);
    batch.verdict[i] = nfAccept;
    batch.verdictMark[i] = batch.mark[i]!;
  }
  queue.settle();
}
