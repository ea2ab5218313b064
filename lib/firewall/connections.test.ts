import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forgetDecisions } from './connections.js';
import { MarkField, markMaskDefault } from './marks.js';
import { Tools, type ToolResult } from './tools.js';

/** Answers as conntrack does, call by call; the last answer is repeated. */
class Answers extends Tools {
  readonly calls: string[] = [];
  readonly #answers: Readonly<Record<string, readonly string[]>>;

  constructor(answers: Readonly<Record<string, readonly string[]>>) {
    super();
    this.#answers = answers;
  }

  override run(_program: string, words: readonly string[]): Promise<ToolResult> {
    const family = words[2]!;
    const list = this.#answers[family]!;
    const stderr = list[Math.min(this.calls.filter((call) => call === family).length, list.length - 1)]!;
    this.calls.push(family);
    return Promise.resolve({ status: stderr === '' ? 0 : 1, stdout: '', stderr });
  }
}

const mark = new MarkField(markMaskDefault);
const busy = 'conntrack v1.4.7 (conntrack-tools): Operation failed: No buffer space available';

test('a table in use is gone through again until it was read to its end', async () => {
  const tools = new Answers({ ipv4: [busy, 'Operation failed: Protocol error', ''], ipv6: [busy, ''] });
  await forgetDecisions(mark, tools);
  assert.deepEqual(tools.calls, ['ipv4', 'ipv4', 'ipv4', 'ipv6', 'ipv6']);
});

test('what fails for one family is no reason to leave the other, and is told', async () => {
  const tools = new Answers({ ipv4: ['Operation not supported'], ipv6: [''] });
  await assert.rejects(forgetDecisions(mark, tools), /not supported/);
  assert.deepEqual(tools.calls, ['ipv4', 'ipv6']);
});

test('it ends, however busy the table is', async () => {
  const tools = new Answers({ ipv4: [busy], ipv6: ['conntrack: 0 flow entries have been updated.'] });
  await assert.rejects(forgetDecisions(mark, tools), /No buffer space/);
  assert.ok(tools.calls.length > 5 && tools.calls.length < 30);
});
