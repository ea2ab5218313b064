import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeStatus } from './status-testing.js';
import { drawing, TopPage } from './top-page.js';

const options = { width: 80, colour: false };

test('rates are those between two polls', () => {
  const page = new TopPage();
  const status = fakeStatus();
  assert.match(page.status(status, 1000, options), /12,346 packets\/s/);
  const later = { ...status, packets: status.packets + 500, bytes: status.bytes + 1_000_000 };
  assert.match(page.status(later, 3000, options), /now +250 packets\/s, 4\.00 Mbit\/s/);
});

test('a restart of the daemon and a pause give no wild figures', () => {
  const page = new TopPage();
  const status = fakeStatus();
  page.status(status, 1000, options);
  const anew = { ...status, pid: 1, packets: 5 };
  assert.match(page.status(anew, 2000, options), /12,346 packets\/s/);
  assert.match(page.waiting('nothing answers \x1b[2J', options), /^Waiting\. nothing answers \\x1b\[2J\n$/);
  assert.match(page.status({ ...anew, packets: 1e9 }, 3000, options), /12,346 packets\/s/);
});

test('a drawing stays within the screen', () => {
  assert.equal(drawing('a\nb\nc\n', 2), '\x1b[Ha\x1b[K\r\nb\x1b[K\x1b[J');
});
