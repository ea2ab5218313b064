import assert from 'node:assert/strict';
import fc from 'fast-check';
import { test } from 'node:test';
import { fromText } from '../testing.js';
import { NameSet } from './name-set.js';

const asks = (set: NameSet, name: string): boolean => {
  const bytes = fromText(`.x${name}x.`);
  return set.has(bytes, 2, bytes.length - 2);
};

test('a name is listed with all below it, alone, or only with those below it', () => {
  const set = new NameSet(['example.org', '=alone.net', '*.below.net'], 7);
  const cases: readonly [string, boolean][] = [
    ['example.org', true],
    ['EXAMPLE.Org', true],
    ['example.org.', true],
    ['a.b.example.org', true],
    ['_tcp.example.org', true],
    ['notexample.org', false],
    ['example.org.net', false],
    ['xample.org', false],
    ['org', false],
    ['alone.net', true],
    ['www.alone.net', false],
    ['below.net', false],
    ['www.below.net', true],
    ['a.www.below.net', true],
    ['', false],
    ['.', false],
    ['..', false],
    ['.example.org', false],
    ['a..example.org', false],
    ['example.org..', false],
    ['a b.example.org', false],
    ['ä.example.org', false],
    [`${'a'.repeat(63)}.example.org`, true],
    [`${'a'.repeat(64)}.example.org`, false],
    [`${'a.'.repeat(121)}example.org`, true],
    [`${'a.'.repeat(122)}example.org`, false],
  ];
  for (const [name, expected] of cases) assert.equal(asks(set, name), expected, name);
});

test('one name in several forms', () => {
  const set = new NameSet(['=example.org', '*.example.org', '=example.org'], 7);
  assert.deepEqual(
    ['example.org', 'www.example.org', 'org'].map((name) => asks(set, name)),
    [true, true, false],
  );
});

test('an empty set holds nothing', () => {
  assert.equal(asks(new NameSet([], 1), 'example.org'), false);
});

const label = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '-', '_'), minLength: 1, maxLength: 3 });
const host = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));

/** The same question to a plain Set. */
function model(names: readonly string[], asked: string): boolean {
  const listed = new Set(names);
  const labels = asked.split('.');
  return labels.some((_, index) => {
    const name = labels.slice(index).join('.');
    if (listed.has(name)) return true;
    return index === 0 ? listed.has(`=${name}`) : listed.has(`*.${name}`);
  });
}

test('property: it answers as a Set of texts does, whatever the key', () => {
  const entry = fc.tuple(fc.constantFrom('', '=', '*.'), host).map(([form, name]) => form + name);
  const asked = fc.array(host, { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 40 }), asked, fc.integer(), (names, questions, key) => {
      const set = new NameSet(names, key);
      for (const question of [...questions, ...names.map((name) => name.replace(/^(=|\*\.)/, 'a.'))])
        assert.equal(asks(set, question), model(names, question), question);
    }),
  );
});

test('the largest list', () => {
  const names = Array.from({ length: 100_000 }, (_, i) => `tracker-${i}.example-${i % 977}.org`);
  const set = new NameSet(names, 0x1234567);
  for (let i = 0; i < names.length; i += 97) {
    assert.ok(asks(set, names[i]!));
    assert.ok(!asks(set, `x${names[i]!}`));
  }
});
