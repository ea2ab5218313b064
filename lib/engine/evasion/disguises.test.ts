/** Evasion by disguise: first bytes of another protocol, or of none, and then BitTorrent. */
import { describe, test } from 'node:test';
import { concat, fromHex, fromText } from '../../testing.js';
import { connection, garbage, handshake } from './testing.js';

const get = fromText('GET / HTTP/1.1\r\nHost: example.org\r\nUser-Agent: x\r\n\r\n');
const answer = fromText('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
const hello = concat(fromHex('16 03 01 00c8 01 0000c4 0303'), garbage(32), fromHex('00'), garbage(163, 3));
const serverHello = concat(fromHex('16 03 03 0040 02 00003c 0303'), garbage(32, 5), garbage(28, 4));
const ssh = fromText('SSH-2.0-OpenSSH_9.6\r\n');
const smtp = fromText('220 mail.example.org ESMTP Postfix\r\n');
const dns = fromHex('001d 1234 0100 0001 0000 0000 0000 07 6578616d706c65 03 6f7267 00 0001 0001');

const disguises: readonly (readonly [string, Uint8Array, Uint8Array])[] = [
  ['an HTTP request', get, answer],
  ['a TLS client hello', hello, serverHello],
  ['an SSH banner', ssh, ssh],
  ['an SMTP banner', smtp, fromText('EHLO x\r\n')],
  ['a DNS query', dns, dns],
  ['noise', garbage(100), garbage(90, 2)],
];

for (const [name, first, reply] of disguises)
  describe(`${name} first`, () => {
    test('then the handshake in the next segment', () => {
      connection().up(first).up(handshake, first.length).found();
    });
    test('then an answer, then the handshake', () => {
      connection().up(first).down(reply).up(handshake, first.length).found();
    });
    test('then the handshake from the other side, as its first bytes', () => {
      connection().up(first).down(handshake).found();
    });
    test('then an answer, then the handshakes of both sides', () => {
      const wire = connection().up(first).down(reply).down(handshake, reply.length);
      // Behind an HTTP answer it could be the body, e.g. of a recording; behind a request there is none.
      if (reply === answer) wire.missed();
      else wire.found();
      wire.up(handshake, first.length).foundSomewhere();
    });
    test('then an answer, then the handshake in two segments', () => {
      const wire = connection().up(first).down(reply);
      wire.part(handshake, 0, 30, { at: first.length }).part(handshake, 30, 68, { at: first.length }).found();
    });
    test('residual: then the handshake in the same segment', () => {
      connection().up(concat(first, handshake)).missed();
    });
    test('sent so that it never arrives, then the handshake in its place', () => {
      connection().up(first, { ttl: 2 }).up(handshake).found();
      connection().up(first, { ttl: 2 }).part(handshake, 0, 7).part(handshake, 7, 68).found();
    });
  });

test('1 to 64 bytes of padding in a segment of their own', () => {
  for (let length = 1; length <= 64; length++) {
    connection().up(garbage(length)).up(handshake, length).found();
    connection()
      .up(garbage(length))
      .down(garbage(64 - length + 1))
      .down(handshake, 65 - length)
      .found();
  }
});

/** Only two clients of the same making can do that; to look for it would mean to search every first segment. */
test('residual: 1 to 64 bytes of padding in the same segment', () => {
  for (let length = 1; length <= 64; length++)
    connection()
      .up(concat(garbage(length), handshake))
      .missed();
});
